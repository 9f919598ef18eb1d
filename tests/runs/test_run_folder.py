"""The folder of a run: a run that fails before it has graded anything leaves nothing behind, and nobody else's go."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from autograder.intake.submissions import Submission
from autograder.runs.grade import grade_submissions
from autograder.runs.run_folder import FIGURE_SEED, LOG, alone_in, claim, held
from autograder.runtime.errors import KitError


def _fail(out: Path, *written: str, text: str = "") -> None:
    """A run that writes some files and fails."""
    with pytest.raises(KitError, match="broke"), held(out):
        for name in written:
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
        raise KitError("broke")


def test_a_failed_run_leaves_no_folder(tmp_path):
    """Nor the folders that were made for it above; what was there stays."""
    _fail(tmp_path / "new" / "deep" / "out", FIGURE_SEED, LOG)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "new").mkdir()
    _fail(tmp_path / "new" / "deep" / "out")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]


def test_what_was_there_before_a_failed_run_stays(tmp_path):
    """Points set by hand in a folder that was none of a run's yet, and everything of an earlier run."""
    (tmp_path / "by-hand.csv").write_text("x", encoding="utf-8")
    _fail(tmp_path, FIGURE_SEED)
    assert [path.name for path in tmp_path.iterdir()] == ["by-hand.csv"]
    claim(tmp_path)
    _fail(tmp_path, FIGURE_SEED)
    assert {".fcoskit", FIGURE_SEED} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(("name", "text"), [("ann/report.json", "{}"), (LOG, "a traceback"), ("grades.csv", "")])
def test_what_a_failed_run_has_to_show_stays(tmp_path, name, text):
    """Reports that were written, and a log that says why, are kept with their folder, which can be continued."""
    _fail(tmp_path / "out", FIGURE_SEED, name, text=text)
    assert (tmp_path / "out" / name).is_file() and (tmp_path / "out" / FIGURE_SEED).is_file()
    claim(tmp_path / "out")


def test_a_second_run_takes_nothing_from_the_first(tmp_path):
    """It finds the folder held, and leaves it as it is."""
    with held(tmp_path / "out"):
        with pytest.raises(KitError, match="Another run"), held(tmp_path / "out"):
            raise AssertionError("let in")
        assert (tmp_path / "out" / ".fcoskit").is_file()
    with alone_in(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").is_file()


def test_a_file_is_no_folder_for_a_run(tmp_path):
    """`--out` on a file says so, and what to do."""
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(KitError, match=r"out is a file, and reports need a folder. Name another with --out\.$"):
        claim(tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1:{port}"])
def test_no_scheduler_no_folder(tmp_path, assignment, address, monkeypatch):
    """A wrong address, and one where nobody listens, leave no folder of a run that never was."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("autograder.runs.cluster.connection.CONNECT_SECONDS", 0.0)
    with socket.socket() as taken:  # bound and not listening: who connects is refused
        taken.bind(("127.0.0.1", 0))
        scheduler = address.format(port=taken.getsockname()[1])
        (tmp_path / "ann.py").write_text("x = 1", encoding="utf-8")
        submission = Submission("ann", "ann", tmp_path / "ann.py")
        with pytest.raises(KitError, match="scheduler"):
            grade_submissions(assignment, [submission], tmp_path / "out", scheduler=scheduler)
    assert not (tmp_path / "out").exists()
