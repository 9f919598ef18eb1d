"""`fcoskit new`: the smallest assignment is whole, and a name that cannot be one writes nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from autograder.commands.front import grade_paths
from autograder.commands.validate import validate
from autograder.course.assignment import load_assignment
from autograder.course.notebook import source_notebook
from autograder.grading.samples import load_samples, unexpected, write_sample
from autograder.release.build import build_release, check_release
from autograder.release.new import begin, make_new
from autograder.report.files import read_report
from autograder.runs.slot_pool import open_slots
from autograder.runtime.errors import KitError


def files(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_it_releases_validates_and_grades_as_it_is(sandbox, tmp_path):
    """From an empty folder to a proven suite and a graded class, without a change by hand."""
    said = Console(file=io.StringIO(), width=200)
    begin("ps8", said, tmp_path)
    made = load_assignment(root=tmp_path)
    with pytest.raises(KitError, match="There is no release/ps8 yet.*`fcoskit release ps8` first"):
        validate(made, said)
    with open_slots(made, "auto", tmp_path / "grade.log", 1) as slots:
        build_release(made, said, jobs=1, slots=slots)
        check_release(made, said)
        assert validate(made, said, slots=slots) == 0, said.file.getvalue()
        samples = load_samples(made)
        for sample in samples:
            write_sample(made, sample, tmp_path / "submitted", made.release)
        assert grade_paths(made, [tmp_path / "submitted"], tmp_path / "graded", 1, "auto", said, slots) == 0
    wrong = [line for s in samples for line in unexpected(s, read_report(tmp_path / "graded" / s.student))]
    assert wrong == [] and len(samples) == 2
    text = said.file.getvalue()
    assert "The suites hold" in text and "2 mutants" in text and "1 right solution that differs" in text


def test_it_goes_into_the_course_at_or_above(tmp_path):
    """From within a course's folder into that course, beside the others."""
    make_new(tmp_path, "ps1")
    below = tmp_path / "assignment" / "ps1" / "suites"
    begin("ps2", Console(file=io.StringIO()), below)
    assert {path.name for path in (tmp_path / "assignment").iterdir()} == {"ps1", "ps2"}
    text = (tmp_path / "assignment" / "ps2" / "ps2.py").read_text(encoding="utf-8")
    assert "ps2_checks" in text and "@" not in text.replace("@pytest", "")


@pytest.mark.parametrize("name", ["", "8ps", "PS8", "a b", "../up", "a/b", "class", "ä", "x" * 41, ".hidden"])
def test_what_cannot_be_a_name_writes_nothing(tmp_path, name):
    """It becomes a folder, a file and a package: refused with what one looks like."""
    with pytest.raises(KitError, match='such as "ps8"'):
        make_new(tmp_path, name)
    assert files(tmp_path) == []


def test_an_assignment_that_is_there_stays(tmp_path):
    """Nothing in it is touched."""
    folder = make_new(tmp_path, "ps8")
    (folder / "ps8.py").write_text("mine", encoding="utf-8")
    before = files(tmp_path)
    with pytest.raises(KitError, match="is there already"):
        make_new(tmp_path, "ps8")
    assert files(tmp_path) == before and (folder / "ps8.py").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("modules", "version", "wheels", "expected"),
    [
        ((), "", (), "no ps8_checks-"),
        ((), "", ("0.1.0",), "0.1.0"),
        ((), "", ("0.9.0", "0.10.0"), "0.10.0"),
        (("autograder",), "0.1.0", ("0.1.0",), ""),
        (("autograder",), "0.1.0", ("0.1.0", "0.1.1"), "0.1.1"),
        (("autograder",), "0.1.0", (), ""),
        (("autograder",), "", ("0.1.0",), "0.1.0"),  # another assignment's checks
        (("autograder", "autograder.runs"), "", ("0.1.0",), ""),  # the course's own kit
    ],
)
def test_the_set_up_cell_installs_what_is_needed(tmp_path, monkeypatch, modules, version, wheels, expected):
    """The newest wheel that lies there, where none of this assignment is installed, or an older one; else nothing."""
    make_new(tmp_path, "ps8")
    source = source_notebook(load_assignment("ps8", tmp_path)).cells[1].source
    for number in wheels:
        (tmp_path / f"ps8_checks-{number}-py3-none-any.whl").touch()
    ran = []

    def version_of(_name):
        if not version:
            raise importlib.metadata.PackageNotFoundError
        return version

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in modules else None)
    monkeypatch.setattr(importlib.metadata, "version", version_of)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append(command[-1]))
    if not wheels and not modules:
        with pytest.raises(FileNotFoundError, match=rf"{expected}\*\.whl lies in .* put it beside this notebook"):
            exec(source, {})
    else:
        exec(source, {})
        assert [Path(name).name.split("-")[1] for name in ran] == ([expected] if expected else [])
