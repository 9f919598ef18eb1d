"""The stored tensors and the script that makes them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import safetensors.torch
import torch

from tests.conftest import ROOT

SCRIPT = ROOT / "data_scripts" / "make_reference.py"


@pytest.fixture(name="script")
def _script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import make_reference

    return make_reference


@pytest.mark.slow
def test_they_are_what_the_script_makes():
    """`assignment/ps7/reference` is made from the solution, but for last digits: these differ between processors."""
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "tensor", "known"),
    [
        ("scores", torch.tensor([0.5, 0.25]) * (1 + 2**-23), True),  # the next number that float32 has
        ("scores", torch.tensor([0.5001, 0.25]), False),
        ("scores", torch.tensor([0.5, 0.25], dtype=torch.float64), False),
        ("scores", torch.tensor([[0.5, 0.25]]), False),
        ("others", torch.tensor([0.5, 0.25]), False),
    ],
)
def test_last_digits_alone_make_no_other_file(script, tmp_path, name, tensor, known):
    """A file that says the same is kept as it is, and the manifest with it; any other is made anew."""
    stored = safetensors.torch.save({"scores": torch.tensor([0.5, 0.25]), "classes": torch.tensor([3, 4])})
    (tmp_path / "a.safetensors").write_bytes(stored)
    made = {"a.safetensors": safetensors.torch.save({name: tensor, "classes": torch.tensor([3, 4])})}
    files = script.with_stored(made, tmp_path)
    assert (files["a.safetensors"] == stored) == known
    assert script.differences(files, tmp_path) == ["MANIFEST.json", *([] if known else ["a.safetensors"])]
    digest = script.hashlib.sha256(files["a.safetensors"]).hexdigest()
    assert json.loads(files["MANIFEST.json"])["sha256"] == {"a.safetensors": digest}


def test_whole_numbers_and_broken_files_are_others(script, tmp_path):
    """A class is another if it is one more; what is no file of tensors says nothing; what nobody makes is named."""
    one, other = (safetensors.torch.save({"classes": torch.tensor([3, number])}) for number in (4, 5))
    assert script.same(one, one) and not script.same(one, other)
    assert not script.same(one, b"no tensors") and not script.same(one, None)
    (tmp_path / "old.safetensors").write_bytes(one)
    assert script.differences({}, tmp_path) == ["old.safetensors"]
