"""What a test leaves changed in its process is found; each kind is changed here, and put back."""

from __future__ import annotations

import os

import pytest
import torch

from tests.support.as_found import as_found, not_put_back


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="a process by itself may use all cores")
def test_a_worker_has_the_threads_that_the_conftest_says():
    """Whoever imports torch before the conftest has said so gives each worker as many as there are cores."""
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"] or torch.get_num_threads())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda patch: patch.setenv("FCOSKIT_MADE_UP", "1"), "$FCOSKIT_MADE_UP: None before, '1' now"),
        (lambda patch: patch.delenv("HOME"), "$HOME: "),
        (lambda patch: patch.syspath_prepend("/made/up"), "sys.path, /made/up: None before, True now"),
        (lambda patch: patch.chdir("/"), "the working folder: "),
        (lambda patch: patch.setattr(torch.backends.cudnn, "allow_tf32", False), "TF32 in convolutions: True before"),
    ],
    ids=["variable", "variable gone", "path", "folder", "torch"],
)
def test_what_was_changed_is_told_and_no_more(change, said):
    """One line for what a test changed, none before it and none after it was put back."""
    before = as_found()
    with pytest.MonkeyPatch.context() as patch:
        change(patch)
        (line,) = not_put_back(before)
        assert line.startswith(said)
    assert not_put_back(before) == []


def test_what_a_library_adds_when_it_is_imported_is_its_own(monkeypatch):
    """Which test imports it first is chance."""
    before = as_found()
    monkeypatch.setenv("A_LIBRARY_S_OWN", "/somewhere")
    monkeypatch.syspath_prepend("/lib/site-packages/setuptools/_vendor")
    assert not_put_back(before) == []


def test_what_torch_s_own_tests_do_at_their_import_is_told(monkeypatch):
    """Torch's backends were frozen by the import of its tests, for all that came later in the same process."""
    before = as_found()
    monkeypatch.setitem(torch.backends.flags_frozen.__globals__, "__allow_nonbracketed_mutation_flag", False)
    assert not_put_back(before) == ["whether torch's backends are frozen: False before, True now"]
