"""`fcoskit report DIR --against OLD`: two runs compared, who gained and who lost, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.checks.result import Charge, CheckResult
from autograder.commands.class_report import priced
from autograder.report.files import read_reports
from autograder.report.model import Report
from autograder.report.terminal import printable
from autograder.runs.run_folder import need_folder
from autograder.runtime.errors import KitError

_EXACT = 1e-9  # points closer than this are the same: sums in another order


@dataclass(frozen=True)
class Change:
    """A student whose points or checks differ between two runs: by how much, and in which checks.

    `moved` says whether the points of an exercise differ, which others may make up for, or another file was graded.
    """

    student: str
    before: float | None
    after: float | None
    why: tuple[str, ...]
    moved: bool = False

    @property
    def counts(self) -> bool:
        """Whether anything changed that somebody has to know: the score, points of an exercise, or who is there."""
        return self.moved or self.delta is None or abs(self.delta) > _EXACT

    @property
    def delta(self) -> float | None:
        """Points gained; None where one of the two runs has no score."""
        return None if self.before is None or self.after is None else self.after - self.before


def changes(new: Path, old: Path) -> list[Change]:
    """Who gained and who lost between two runs, and why; the greatest loss first, who cannot be compared last.

    The old run counts as it was graded, the new one by the rubric as it is now: with one folder for both that is what
    another price changes, before anything is written.

    Raises:
        KitError: One of the folders holds no reports.
    """
    runs = []
    for folder in (old, new):
        need_folder(folder)
        reports = {report.student: report for report in read_reports(folder)}
        if not reports:
            raise KitError(f"{folder} holds no reports. Give the folder that `fcoskit grade` wrote with --out.")
        runs.append(reports)
    earlier, later = runs
    for assignment_id in {report.assignment for report in later.values()}:
        priced(assignment_id, [report for report in later.values() if report.assignment == assignment_id])
    found = []
    for student in sorted(earlier.keys() | later.keys()):
        one, two = earlier.get(student), later.get(student)
        before, after = one.score if one else None, two.score if two else None
        why = tuple(_why(one, two))
        if before != after or why:
            found.append(Change(student, before, after, why, _moved(one, two)))
    return sorted(found, key=lambda change: (change.delta is None, change.delta or 0, change.student))


def _moved(one: Report | None, two: Report | None) -> bool:
    if one is None or two is None:
        return True
    points = [{exercise.id: exercise.points for exercise in report.exercises} for report in (one, two)]
    differ = any(
        abs(points[0].get(name, 0.0) - points[1].get(name, 0.0)) > _EXACT for name in {**points[0], **points[1]}
    )
    return differ or (one.sha256, one.problem, one.final is None) != (two.sha256, two.problem, two.final is None)


def _unchanged(every: list[Change]) -> str:
    """How many are not shown, and why."""
    count = sum(not change.counts for change in every)
    words = "student has" if count == 1 else "students have"
    return f"Not shown: {count} {words} the same points in every exercise; only which checks gave them differs."


_ONE_RUN = {"only in the new run", "only in the old run"}


def _why(one: Report | None, two: Report | None) -> list[str]:
    if one is None or two is None:
        return ["only in the new run" if one is None else "only in the old run"]
    lines = ["another notebook"] if one.sha256 != two.sha256 else []
    lines += [f"{two.problem or 'can be graded now'}"] if one.problem != two.problem else []
    before = {(e.id, c.name): c for e in one.exercises for c in e.checks}
    for exercise in two.exercises:
        hand = next((e.by_hand for e in one.exercises if e.id == exercise.id), None)
        if hand != exercise.by_hand:
            lines.append(f"{exercise.id}: points set by hand: {_points(hand)} -> {_points(exercise.by_hand)}")
        was = next((e.charges for e in one.exercises if e.id == exercise.id), [])
        lines += [f"{exercise.id} {line}" for line in _prices(was, exercise.charges)]
        for check in exercise.checks:
            old = before.pop((exercise.id, check.name), None)
            if old is None:
                lines.append(f"{exercise.id} {check.name}: a new check, {check.status}")
            elif (old.status, old.points) != (check.status, check.points):
                said = check.diagnosis or check.message.partition("\n")[0]
                lines.append(
                    f"{exercise.id} {check.name}: {_state(old)} -> {_state(check)}{'. ' + said if said else ''}"
                )
    return lines + [f"{exercise} {name}: no such check any more" for exercise, name in before]


def _prices(was: list[Charge], now: list[Charge]) -> list[str]:
    """What became of the faults that an exercise is charged with."""
    old, new = ({charge.fault: charge for charge in part} for part in (was, now))
    lines = []
    for fault, charge in {**old, **new}.items():
        states = [f"-{part[fault].price:g}" if fault in part else "not charged" for part in (old, new)]
        if states[0] != states[1]:
            lines.append(f"fault {fault}: {states[0]} -> {states[1]}. {charge.says}")
    return lines


def _points(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _state(check: CheckResult) -> str:
    return f"{check.status.replace('_', ' ')} ({check.points:g})"


def show_changes(new: Path, old: Path, console: Console) -> None:
    """Print `changes` as a table."""
    every = changes(new, old)
    if not every:
        console.print("No student's points or checks differ.")
        return
    found = [change for change in every if change.counts]
    if not found:
        console.print(f"Nobody's points differ. {_unchanged(every)}", highlight=False, soft_wrap=True)
        return
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII2, pad_edge=False)
    table.add_column("student", overflow="fold", max_width=28)
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for change in found:
        delta = change.delta or 0
        shown = Text("-" if change.delta is None else f"{delta:+g}", "red" if delta < 0 else "green" if delta else "")
        why = Text(printable("\n".join(change.why)))
        name = Text(printable(change.student, line=True))
        table.add_row(name, _points(change.before), _points(change.after), shown, why)
    console.print(table)
    console.print(_counted(every), highlight=False, soft_wrap=True)
    if len(found) < len(every):
        console.print(_unchanged(every), highlight=False, soft_wrap=True)
    if not _common(new, old):
        console.print("The two runs have no student in common: are these the right folders?", style="yellow")


def _counted(found: list[Change]) -> str:
    """How many gained, lost, and so on."""
    apart = sum(bool(_ONE_RUN & set(change.why)) for change in found)
    compared = [change.delta for change in found if change.delta is not None]
    gained, lost = sum(delta > 0 for delta in compared), sum(delta < 0 for delta in compared)
    words = [f"{gained} gained", f"{lost} lost", f"{len(compared) - gained - lost} changed in their checks alone"]
    words += [f"{apart} in one run only"] if apart else []
    waiting = len(found) - len(compared) - apart
    words += [f"{waiting} without a score in one of them"] if waiting else []
    return ", ".join(words) + "."


def _common(new: Path, old: Path) -> set[str]:
    """Students of both runs."""
    students = [{report.student for report in read_reports(folder)} for folder in (new, old)]
    return students[0] & students[1]
