"""What stands in for nbgrader's own converters: for the kit's assignments they do more, for others nothing else.

nbgrader's commands and formgrader make a converter by the name of its class, so `take_their_place` binds that name to
ours. Were it not bound, as with an nbgrader of another build, the steps in `plugin.py` would save no grade.
"""

from __future__ import annotations

import contextlib
import glob
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import GetGrades
from nbgrader.utils import rmtree

from autograder.course.assignment import Assignment
from autograder.course.digests import suites_digest
from autograder.course.rubric import read_rubric
from autograder.intake.submissions import safe_key
from autograder.nbgrader.by_hand import TellingGrades
from autograder.nbgrader.gradebook import sync_gradebook
from autograder.nbgrader.ours import CONVERTING, assignment_of, refuse_if_once_ours, reports_folder
from autograder.nbgrader.printed import printable_log
from autograder.nbgrader.rebuilt import release_cells
from autograder.nbgrader.timestamps import TolerantCourse, drop_unread
from autograder.report.files import read_report
from autograder.report.prices import apply_rubric_to
from autograder.runtime.errors import KitError

_SHOWN = 5  # students by name
_NO_SCORE = "it had no score"


def take_their_place() -> None:
    """Have nbgrader's commands and formgrader make these converters."""
    from nbgrader.apps import api, autogradeapp, generateassignmentapp, generatefeedbackapp

    api.Autograde = autogradeapp.Autograde = KitAutograde
    api.GenerateAssignment = generateassignmentapp.GenerateAssignment = KitGenerateAssignment
    api.GenerateFeedback = generatefeedbackapp.GenerateFeedback = KitGenerateFeedback


@contextlib.contextmanager
def in_words(log: Any) -> Iterator[None]:
    """End nbgrader's command with one sentence, and no traceback, where something that staff have to mend is missing.

    nbgrader prints a traceback for whatever is an Exception, and goes on to the next student, who lacks it as well.
    """
    try:
        yield
    except KitError as error:
        log.error("%s", error)
        raise SystemExit(1) from error


def outdated(kit: Assignment, digest: str, course: str, student_id: str) -> str:
    """Why a verdict that is there does not count any more; "" where it does.

    Args:
        kit: Of which assignment.
        digest: Its `suites_digest`, as it is now.
        course: Root of nbgrader's course folder.
        student_id: Whose.
    """
    try:
        report = read_report(reports_folder(course, kit) / safe_key(student_id))
    except (OSError, ValueError, KeyError, TypeError):
        return "there is no report of it"
    if report.suites != digest:
        return "the assignment or the kit has changed since"
    if apply_rubric_to(report, read_rubric(kit.folder)):
        return "what faults cost has changed since"
    return "" if report.score is not None else _NO_SCORE


class KitAutograde(Autograde):  # type: ignore[misc]
    """`nbgrader autograde`: grades the kit's assignments with the kit, and what was graded before a change once more.

    Attributes:
        kit: The assignment at hand; None where it is not the kit's.
    """

    kit: Assignment | None = None
    coursedir: Any  # traits of nbgrader
    force: Any

    def start(self) -> None:
        """See nbgrader."""
        with in_words(self.log):
            self.kit = assignment_of(self.config, self.coursedir.assignment_id)
            if self.kit is not None:
                self._begin(self.kit)
            elif "Fcoskit" in self.config:
                refuse_if_once_ours(self.config, self.coursedir)
        if self.kit is None:
            self._as_the_course_has_it()
        with printable_log(self.log):
            super().start()
        if self.kit is not None:
            self._tell_who_is_left(self.kit)

    def _begin(self, kit: Assignment) -> None:
        """Before the first submission: the gradebook in step, and this run's own view of the course folder."""
        self.coursedir = TolerantCourse.like(self.coursedir)
        self._digest = suites_digest(kit)
        with contextlib.chdir(self.coursedir.root):
            for line in sync_gradebook(kit, self.coursedir.db_url, self.coursedir.course_id):
                self.log.warning("%s", line)

    def _as_the_course_has_it(self) -> None:
        """Undo for another assignment what `configure` set: the course's own settings, or nbgrader's."""
        if "Fcoskit" in self.config:
            for name in CONVERTING:
                default = Autograde.class_traits()[name].default()
                setattr(self, name, self.config.Fcoskit.others.get(name, default))

    def init_notebooks(self) -> None:
        """See nbgrader. Each folder that was handed in counts under the released name, whatever it holds."""
        if self.kit is None:
            super().init_notebooks()
            return
        folders = [Path(path) for path in self._matching() if Path(path).is_dir()]
        if not folders:
            where = self._format_source(self.kit.id, self.coursedir.student_id)
            self.log.error("Nothing to grade: there is no folder %s. Put what was handed in there.", where)
            raise NbGraderException(f"no folder {where}")
        self.assignments = {str(folder): [str(folder / f"{self.kit.notebook}.ipynb")] for folder in folders}

    def _matching(self) -> list[str]:
        assert self.kit is not None
        plain = self._format_source(self.kit.id, self.coursedir.student_id)
        return [plain] if Path(plain).is_dir() else glob.glob(plain)  # noqa: PTH207 (as nbgrader does)

    def init_destination(self, assignment_id: str, student_id: str) -> bool:
        """See nbgrader. What has no verdict of the assignment as it is now is graded again, `--force` or not."""
        if self.kit is None:
            return bool(super().init_destination(assignment_id, student_id))
        forced, why = self.force, self.outdated(student_id)
        if why and Path(self._format_dest(assignment_id, student_id)).exists():
            self.log.info("%s is graded again: %s", student_id, why)
        self.force = forced or bool(why)
        try:
            return bool(super().init_destination(assignment_id, student_id))
        finally:
            self.force = forced

    def outdated(self, student_id: str) -> str:
        """Why a verdict that is there does not count any more; "" where it does."""
        assert self.kit is not None
        return outdated(self.kit, self._digest, self.coursedir.root, student_id)

    def _tell_who_is_left(self, kit: Assignment) -> None:
        """Name whom this run left as they were graded before a change: their points are out of another maximum."""
        named = re.compile(self._format_dest(re.escape(kit.id), "(?P<student>.*)", escape=True))
        found = [named.fullmatch(path) for path in glob.glob(self._format_dest(kit.id, "*"))]  # noqa: PTH207
        names = sorted(match["student"] for match in found if match)
        left = [name for name in names if self.outdated(name) not in ("", _NO_SCORE)]
        if left:
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            self.log.warning(
                "Still graded as the assignment was before: %s%s. `nbgrader autograde %s` grades them again.",
                ", ".join(left[:_SHOWN]),
                more,
                kit.id,
            )

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        """See nbgrader."""
        super().init_assignment(assignment_id, student_id)
        if self.kit is not None:
            drop_unread(Path(self._format_dest(assignment_id, student_id)))

    def convert_single_notebook(self, notebook_filename: str) -> None:
        """See nbgrader."""
        with in_words(self.log):
            try:
                super().convert_single_notebook(notebook_filename)
            except KitError:
                named = self.init_single_notebook_resources(notebook_filename)["nbgrader"]
                half = Path(self._format_dest(named["assignment"], named["student"]))
                if half.exists():
                    rmtree(half)  # else the next run takes it for graded
                raise


class KitGenerateAssignment(GenerateAssignment):  # type: ignore[misc]
    """`nbgrader generate_assignment`: `fcoskit release` makes the kit's release, nothing else."""

    def start(self) -> None:
        """See nbgrader."""
        with in_words(self.log):
            kit = assignment_of(self.config, self.coursedir.assignment_id)
            if kit is not None:
                self._take_release(kit)
        if kit is None:
            super().start()

    def _take_release(self, kit: Assignment) -> None:
        """Bring gradebook and, where the course lies elsewhere, its release folder in step with the kit's release."""
        release_cells(kit)  # says it where there is none
        with contextlib.chdir(self.coursedir.root):
            for line in sync_gradebook(kit, self.coursedir.db_url, self.coursedir.course_id):
                self.log.warning("%s", line)
        folder = Path(self.coursedir.format_path(self.coursedir.release_directory, ".", kit.id))
        if folder.resolve() != kit.release.resolve():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(kit.release, folder)
            self.log.info("Copied %s to %s.", kit.release, folder)
        self.log.info(
            "%s is released by `fcoskit release %s`, from %s: run that after a change. The gradebook is in step.",
            kit.id,
            kit.id,
            kit.source,
        )


class KitGenerateFeedback(GenerateFeedback):  # type: ignore[misc]
    """`nbgrader generate_feedback`: a page that is older than the grading it shows is made anew, `--force` or not."""

    kit: Assignment | None = None
    coursedir: Any
    force: Any
    preprocessors: Any

    def start(self) -> None:
        """See nbgrader."""
        with in_words(self.log):
            self.kit = assignment_of(self.config, self.coursedir.assignment_id)
            self._digest = suites_digest(self.kit) if self.kit is not None else ""
        if self.kit is not None:
            self.preprocessors = [TellingGrades if step is GetGrades else step for step in self.preprocessors]
        with printable_log(self.log):
            super().start()

    def init_destination(self, assignment_id: str, student_id: str) -> bool:
        """See nbgrader. Who is still graded as the assignment was before gets no page: it would show other points."""
        if self.kit is None:
            return bool(super().init_destination(assignment_id, student_id))
        why = outdated(self.kit, self._digest, self.coursedir.root, student_id)
        if why not in ("", _NO_SCORE):
            line = "No page for %s: %s. Run `nbgrader autograde %s` first."
            self.log.warning(line, student_id, why, assignment_id)
            return False
        forced, name = self.force, self.kit.notebook
        graded = Path(self._format_source(assignment_id, student_id)) / f"{name}.ipynb"
        page = Path(self._format_dest(assignment_id, student_id)) / f"{name}.html"
        self.force = forced or (page.exists() and graded.exists() and page.stat().st_mtime < graded.stat().st_mtime)
        try:
            return bool(super().init_destination(assignment_id, student_id))
        finally:
            self.force = forced
