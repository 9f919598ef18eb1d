"""`fcoskit new`: the smallest assignment is whole, and a name that cannot be one writes nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from autograder.commands.front import grade_paths
from autograder.commands.validate import validate
from autograder.course.assignment import load_assignment
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
