"""A report as Gradescope's `results.json`.

A student sees there what the feedback page says: each check's sentence, its points, and why it did not pass; of hidden
checks the sentence and the hint. What is for staff (numbers of hidden checks, tracebacks, what student code printed,
the seed) goes into entries of visibility "hidden", which Gradescope shows to nobody else. All of it is plain text:
student code has a say in it.

Where there is no verdict, nothing in the file is a number: neither the whole nor an entry, for Gradescope adds up
what it finds.
"""

from __future__ import annotations

from typing import Any

from autograder.checks.result import CheckResult, ExerciseResult, Figure
from autograder.report.bill import bill, without
from autograder.report.html import FIGURE_MARKS, MARKS
from autograder.report.model import Report
from autograder.report.next_steps import begin
from autograder.report.readings import how_read
from autograder.report.terminal import printable

_OURS = "Our fault, and it costs you nothing: the autograder did not come to an end. Staff will look at it."
_LENGTH = 8000  # of one text, in characters
_SAME = "The same as above."
_CELLS = (
    "Code cells are counted from the top of your notebook, from 1; text cells do not count. A check with “only when "
    "graded” keeps its numbers to itself."
)


def results(report: Report) -> dict[str, Any]:
    """The content of `results.json`, but for the time it took."""
    entries = [entry for exercise in report.exercises for entry in _exercise(report, exercise)]
    content = _frame("\n\n".join(_summary(report)), [*entries, _about(report)])
    if report.score is not None:
        content["score"] = _number(report.score)
    board = [_leaderboard(figure) for figure in report.figures if figure.value is not None]
    if board:
        content["leaderboard"] = board
    return content


def not_graded() -> dict[str, Any]:
    """The content where grading did not come to an end: no score, and whose fault it is."""
    entry = {"name": "Not graded yet", "status": "failed", "output": _OURS, "visibility": "visible"}
    return _frame(_OURS, [entry])


def _frame(output: str, tests: list[dict[str, Any]]) -> dict[str, Any]:
    formats = dict.fromkeys(("output_format", "test_output_format", "test_name_format"), "text")
    shown = {"visibility": "visible", "stdout_visibility": "hidden"}  # what our process prints is for staff
    return {"output": _plain(output), **formats, **shown, "tests": tests}


def _summary(report: Report) -> list[str]:
    """What concerns the whole submission, a paragraph each."""
    parts = []
    if report.score is None:
        why = report.trouble or "One of the checks broke. That is our fault and costs you nothing; staff will look."
        parts.append(f"No score yet. {why if report.outcome != 'grader_error' else _OURS}")
    elif report.trouble:
        parts.append(f"Nothing could be graded. {report.trouble}")
    if first := begin(report):
        parts.append(f"Begin with {first.exercise}: {first.why}")
    if report.exercises and not report.trouble:
        parts.append("\n".join(_line(exercise, report.score is not None) for exercise in report.exercises))
    parts += [f"Note. {note}" for note in report.notes]
    parts += [_figure(figure) for figure in report.figures]
    if report.exercises and not report.trouble:
        parts.append(_CELLS)
    return parts


def _line(exercise: ExerciseResult, scored: bool) -> str:
    points = f"{exercise.points:g} of {exercise.max_points:g} points" if scored else "no points yet"
    line, how = f"{exercise.id} {exercise.title}: {points}, {MARKS[exercise.status][1]}", how_read(exercise)
    return f"{line}. {how}" if how else line


def _figure(figure: Figure) -> str:
    words = FIGURE_MARKS[figure.status][1]
    if figure.value is not None:
        words = f"{figure.value:.2%}, with {figure.file} on {figure.images} images that your code had not seen"
    return f"{figure.id} {figure.name} of your weights: {words}. {figure.message}".strip()


def _exercise(report: Report, exercise: ExerciseResult) -> list[dict[str, Any]]:
    """An entry for each check, then one for staff."""
    entries, told = _charges(report, exercise), set[str]()
    for number, check in enumerate(exercise.checks, start=1):
        entry: dict[str, Any] = {
            "number": f"{exercise.id}.{number}",
            "name": _plain(check.sentence),
            "status": "passed" if check.status == "passed" else "failed",
            "output": _plain("\n\n".join(_words(check, told))),
            "tags": [exercise.id, "public" if check.public else "only when graded"],
            "visibility": "visible",
        }
        if report.score is not None and not (check.faults and exercise.charges):
            entry |= {"score": _number(check.earned), "max_score": _number(check.points)}
        entries.append(entry)
    details = _details(exercise)
    return [*entries, _for_staff(f"{exercise.id} {exercise.title}", details)] if details else entries


def _charges(report: Report, exercise: ExerciseResult) -> list[dict[str, Any]]:
    """What the exercise lost, line by line, where faults of the rubric explain checks; with the points of those."""
    lines = bill(exercise)
    if not lines or not exercise.charges:
        return []
    said = "\n".join(f"-{line.points:g} {line.says} ({line.where})" for line in lines)
    entry: dict[str, Any] = {
        "number": exercise.id,
        "name": _plain(f"{exercise.id} {exercise.title}: what it lost"),
        "status": "failed",
        "output": _plain(f"{said}\n\n{without(exercise, lines)}"),
        "tags": [exercise.id],
        "visibility": "visible",
    }
    if report.score is not None:
        got = exercise.explained - sum(exercise.costs)
        entry |= {"score": _number(got), "max_score": _number(exercise.explained)}
    return [entry]


def _words(check: CheckResult, told: set[str]) -> list[str]:
    """What the student reads of a check; what an earlier one of the exercise said already, in a word."""
    state = MARKS[check.status][1]
    words = [f"{state[0].upper()}{state[1:]}{'' if check.public else ', only when graded'}."]
    if check.faults:
        words[0] += " Its points are counted above, with the fault."
    for text in (check.diagnosis, check.message):
        if text:
            words.append(_SAME if text in told else text)
            told.add(text)
    return words


def _details(exercise: ExerciseResult) -> str:
    parts = [f"{check.name}\n{check.details}" for check in exercise.checks if check.details]
    if exercise.readings:
        parts.append(f"Read twice: {exercise.readings}.")
    if exercise.unloaded:
        parts.append("\n".join(["What did not run:", *exercise.unloaded]))
    if exercise.printed:
        parts.append(f"Printed by student code:\n{exercise.printed}")
    return "\n\n".join(parts)


def _about(report: Report) -> dict[str, Any]:
    """What staff need to look again: the seed, versions, the file."""
    lines = [f"file {report.file}", f"sha256 {report.sha256}", f"suites {report.suites}", f"seed {report.seed}"]
    lines += [f"{name} {version}" for name, version in report.versions.items()]
    lines += [f"problem {report.trouble}"] if report.trouble else []
    lines += [f"{e.id} {sum(c.seconds for c in e.checks):.1f} s, {e.peak_megabytes:g} MB" for e in report.exercises]
    lines += [
        f"{f.id} seed {f.seed}, {f.seconds:.1f} s, sha256 {f.sha256}\n{f.details}".strip() for f in report.figures
    ]
    return _for_staff("this run", "\n".join(lines))


def _for_staff(what: str, text: str) -> dict[str, Any]:
    return {"name": f"For staff: {what}", "output": _plain(text), "visibility": "hidden"}


def _leaderboard(figure: Figure) -> dict[str, Any]:
    assert figure.value is not None
    return {"name": f"{figure.name} (%)", "value": round(100 * figure.value, 2), "order": "desc"}


def _number(points: float) -> float:
    return round(points, 4)


def _plain(text: str) -> str:
    kept = printable(text)
    return kept if len(kept) <= _LENGTH else f"{kept[:_LENGTH]} ... (cut off)"
