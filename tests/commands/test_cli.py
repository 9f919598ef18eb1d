"""The command line: exit codes, one clear line for bad input, never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder.commands import cli
from tests.conftest import ROOT
from tests.support.classroom import thirty, write


def fcoskit(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, piped."""
    command = [sys.executable, "-m", "autograder.commands.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def fcoskit_here(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported what it needs."""
    command, out, err = ["fcoskit", *map(str, arguments)], io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", command)
        patch.setattr(logging, "captureWarnings", lambda _: None)
        code: object = None
        try:
            cli.main()
        except SystemExit as left:
            code = left.code
    return subprocess.CompletedProcess(
        command, code if isinstance(code, int) else int(bool(code)), out.getvalue(), err.getvalue()
    )


def one_line(done: subprocess.CompletedProcess[str], text: str) -> None:
    """Exactly one line of the output holds the text, and nothing looks like a traceback."""
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    assert sum(text in line for line in output.splitlines()) >= 1, output


def test_version():
    """`--version` prints the kit's."""
    done = fcoskit("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("fcoskit 0.")


@pytest.mark.parametrize(
    "arguments", [["grade"], ["grade", "x.ipynb"], ["nonsense"], ["grade", "x", "--out", "y", "--jobs", "0"]]
)
def test_usage_errors_exit_with_2(arguments, tmp_path):
    """Missing and wrong arguments are usage errors."""
    done = fcoskit_here(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["grade", "x", "--out", "y"], ["validate"]])
@pytest.mark.parametrize("jobs", ["four", "0", "-1", "2.5", "²"])
def test_jobs_that_are_no_number(command, jobs):
    """Said in words, with what to give."""
    done = fcoskit_here(*command, "--jobs", jobs)
    assert done.returncode == 2
    one_line(done, f"'{jobs}' is not a whole number from 1 on")


@pytest.mark.parametrize(
    "arguments", [["report", "{}"], ["report", ".", "--against", "{}"], ["explain", "{}", "ann", "7.1d"]]
)
def test_a_run_that_is_not_there(tmp_path, arguments):
    """A folder of a run that does not exist, or is a file: said so, with what to give; exit 2."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for name, why in (("nowhere", "there is no such folder"), ("file", "is a file")):
        done = fcoskit_here(*(argument.format(tmp_path / name) for argument in arguments))
        assert done.returncode == 2
        one_line(done, f"{name}: {why}. Give the folder that `fcoskit grade` wrote with --out.")


def test_a_missing_folder(tmp_path):
    """A path that is not there: one line, exit 2."""
    done = fcoskit_here("grade", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.returncode == 2
    one_line(done, "nowhere: there is no such file or folder")


def test_a_file_that_is_no_notebook(tmp_path):
    """A picture handed in as a submission: one line, exit 2."""
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    done = fcoskit_here("grade", tmp_path / "photo.png", "--out", tmp_path / "out")
    assert done.returncode == 2
    one_line(done, "photo.png: not a notebook")


def test_an_unknown_assignment(tmp_path):
    """An assignment that is not there: the message lists those there are."""
    done = fcoskit_here("release", "ps9")
    assert done.returncode == 2
    one_line(done, 'No assignment "ps9"')
    one_line(done, "ps7")


def test_outside_a_course_the_installed_one_is_used(tmp_path):
    """Run from anywhere, the kit falls back to the course it was installed from."""
    assert fcoskit_here("release", "--check", cwd=tmp_path).returncode == 0


def test_a_folder_that_holds_something_else_is_not_overwritten(tmp_path):
    """`--out` on a folder of other things is refused, and nothing in it changes."""
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "a.ipynb").write_text("{}", encoding="utf-8")
    done = fcoskit_here("grade", tmp_path / "a.ipynb", "--out", tmp_path)
    assert done.returncode == 2
    one_line(done, "is not empty and not the folder of an earlier run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ipynb", "thesis.txt"]


def test_an_unknown_sandbox(tmp_path):
    """A sandbox that there is not: says which there are."""
    (tmp_path / "a.py").write_text("x = 1", encoding="utf-8")
    done = fcoskit_here("grade", tmp_path / "a.py", "--out", tmp_path / "out", "--sandbox", "chroot")
    assert done.returncode == 2
    one_line(done, "auto, bwrap, uid, none")


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_bad_submissions_get_a_line_each_and_the_others_are_graded(tmp_path):
    """A class with every kind of bad file: one clear line each, the good one graded, no traceback."""
    folder = tmp_path / "subs"
    folder.mkdir()
    (folder / "empty.ipynb").write_bytes(b"")
    (folder / "broken-json.ipynb").write_text('{"cells": [', encoding="utf-8")
    (folder / "json-no-notebook.ipynb").write_text('{"a": 1}', encoding="utf-8")
    (folder / "binary.ipynb").write_bytes(bytes(range(256)))
    (folder / "no-code.ipynb").write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "hi"}]}), "utf-8")
    (folder / "deep.ipynb").write_text("[" * 100_000, encoding="utf-8")
    (folder / "twice.py").write_text("x = 1", encoding="utf-8")
    (folder / "twice.md").write_text("```python\nx = 1\n```", encoding="utf-8")
    with zipfile.ZipFile(folder / "escaping.zip", "w") as archive:
        archive.writestr("../../evil.ipynb", "{}")
    good = "import torch\ndef fcos_apply_deltas_to_locations(deltas, locations, stride):\n    return None\n"
    (folder / "good.py").write_text(good, encoding="utf-8")
    paths = [folder, folder / "escaping.zip", tmp_path / "nowhere"]
    done = fcoskit("grade", *paths, "--out", tmp_path / "out", "--jobs", 1)
    assert done.returncode == 1, done.stdout
    for text in (
        "empty  0/100  unreadable  The file is empty",
        "broken-json  0/100  unreadable  This notebook breaks off in line 1: a part of the file is missing.",
        "json-no-notebook  0/100  unreadable  The file is JSON but no notebook",
        "binary  0/100  unreadable  The file is no text",
        "no-code  0/100  unreadable  There is no code in this notebook",
        "deep  0/100  unreadable  The notebook's JSON is nested too deeply",
        "twice  no score  undecided  2 submissions",
        "good  0/100  graded",
        "escaping.zip: no notebook",
        "nowhere: there is no such file or folder",
    ):
        one_line(done, text)
    rows = (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8").splitlines()
    assert "twice,,100,undecided" + 7 * "," in rows
    assert not list(tmp_path.parent.glob("**/evil.ipynb"))


def test_the_report_of_a_class(tmp_path):
    """`report DIR` writes the class; `--anonymous` a form of it in a folder of its own."""
    write(tmp_path / "run", thirty())
    done = fcoskit_here("report", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    one_line(done, "class.html")
    done = fcoskit_here("report", tmp_path / "run", "--anonymous")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "run" / "anonymous").iterdir()} == {
        "class.html",
        "class.csv",
        "students.csv",
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "holds no reports"),
        (["--anonymous"], "holds no reports"),
        (["--anonymous", "--roster", "r.csv"], "no use for --roster"),
        (["--key", "k"], "belongs to --anonymous"),
        (["--roster", "nowhere.csv"], "the roster cannot be read"),
        (["--against", "old", "--anonymous"], "takes no other option"),
    ],
)
def test_a_report_that_cannot_be_made(tmp_path, options, text):
    """No reports, or options that do not go together: one line, exit 2."""
    done = fcoskit_here("report", tmp_path, *options)
    assert done.returncode == 2
    one_line(done, text)
    assert list(tmp_path.iterdir()) == []
