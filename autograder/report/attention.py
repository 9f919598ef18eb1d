"""Who needs a human, and why: no score or figure, points set by hand, limits hit, code that did what answers do not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from autograder.checks.result import Figure
from autograder.report.model import UNREAD, Report
from autograder.report.newer_python import needed
from autograder.report.readings import SECOND_BROKE
from autograder.report.terminal import counted, shortened

URGENT, LOOK, KNOWN = "no score", "worth a look", "for the record"
_LEVELS = (URGENT, LOOK, KNOWN)
_PRINTED_MUCH = 15 * 1024
# What the system, or our own end of the line, says of code that tried what a graded function has no need of.
_SIGNS = (
    (r"ended by itself \((?P<what>[^)]*)\)", "its process ended by itself ({what})"),
    (r"(?P<what>Network is unreachable|Name or service not known|name resolution)", "it tried the network ({what})"),
    (r"(?P<what>Read-only file system|Permission denied|Operation not permitted)", "the sandbox stopped it ({what})"),
    (
        r"No such file or directory: (?P<what>[^\n]*?)(?= \(code cell \d|$)",
        "it looked for a file that is not there ({what})",
    ),
    (r"(?P<what>No module named '[^']+')", "it needs what grading does not have ({what})"),
    (r"ended by (?P<what>signal \d+)", "its process crashed ({what})"),
    (r"your code's process answered with", "its process gave an answer that ours never gives"),
)


@dataclass(frozen=True)
class Attention:
    """A student whom a human should look at.

    Attributes:
        student: The name.
        level: `URGENT`, `LOOK` or `KNOWN`, by the gravest reason.
        reasons: A line each.
    """

    student: str
    level: str
    reasons: tuple[str, ...]


def who_needs_a_human(reports: list[Report]) -> list[Attention]:
    """All students with a reason, the urgent ones first."""
    same = _same_files(reports)
    found = []
    for report in reports:
        reasons = [*_reasons(report), *same.get(report.student, [])]
        if reasons:
            level = min((level for level, _ in reasons), key=_LEVELS.index)
            reasons.sort(key=lambda reason: _LEVELS.index(reason[0]))
            found.append(Attention(report.student, level, tuple(dict.fromkeys(text for _, text in reasons))))
    return sorted(found, key=lambda one: (_LEVELS.index(one.level), one.student))


def _reasons(report: Report) -> Iterator[tuple[str, str]]:
    if report.outcome == "undecided":
        yield URGENT, f"a human has to choose: {report.trouble}"
    elif report.status == "grader_error" and report.problem:
        yield URGENT, f"grading broke: {report.trouble}"
    elif report.outcome == "unreadable":
        yield LOOK, f"the file cannot be read, 0 points: {report.trouble}"
    newer = needed(report)
    for exercise in report.exercises:
        broke = [check for check in exercise.checks if check.status == "grader_error"]
        if exercise.id in newer:
            version, this = newer[exercise.id]
            yield URGENT, f"{exercise.id}: it needs Python {version} or newer, and Python {this} graded it"
        elif (broke or not (exercise.checks or report.problem)) and exercise.by_hand is None:
            yield URGENT, f"{exercise.id}: {counted(len(broke), 'check')} of ours broke"
        if exercise.by_hand is not None:
            why = f" ({exercise.reason})" if exercise.reason else ""
            yield (
                KNOWN,
                f"{exercise.id}: {exercise.by_hand:g} points set by hand, the checks give {exercise.earned:g}{why}",
            )
        if exercise.reading == "whole":
            yield KNOWN, f"{exercise.id}: {shortened(exercise.readings, 300)}"
        elif SECOND_BROKE in exercise.readings:
            yield LOOK, f"{exercise.id}: {shortened(exercise.readings, 300)}"
        for status, words in (("timeout", "took too long"), ("memory", "needed too much memory")):
            hit = sum(check.status == status for check in exercise.checks)
            if hit:
                yield LOOK, f"{exercise.id}: {words} in {counted(hit, 'check')}"
        said = "\n".join(f"{check.message}\n{check.details}" for check in exercise.checks if check.status == "error")
        for text in dict.fromkeys(_signs(said)):
            yield LOOK, f"{exercise.id}: {text}"
        if len(exercise.printed) >= _PRINTED_MUCH:
            yield LOOK, f"{exercise.id}: it prints {len(exercise.printed) // 1024} kB or more"
        if any(unicodedata.category(c) == "Cc" and c not in "\t\n\r\b" for c in exercise.printed):
            yield LOOK, f"{exercise.id}: it prints control characters"
    for figure in report.figures:
        yield from _undecided(figure, report)
    if report.outcome == "graded" and report.exercises and all(e.status == "missing" for e in report.exercises):
        yield LOOK, "every exercise is as given: is it the right file?"
    if unread := sum(note.startswith(UNREAD) for note in report.notes):
        yield LOOK, f"{counted(unread, 'cell')} that Python cannot read"


def _undecided(figure: Figure, report: Report) -> Iterator[tuple[str, str]]:
    """Why a figure is not known though something was handed in for it."""
    if figure.status == "grader_error":
        yield LOOK, f"{figure.id}: measuring {figure.name} broke, by our fault"
    elif figure.status == "refused":
        yield LOOK, f"{figure.id}: {figure.file} cannot be used: {figure.message}"
    elif figure.status not in ("measured", "absent") and not report.trouble:  # else the notebook's trouble is told
        yield LOOK, f"{figure.id}: {figure.name} of {figure.file} is not known: {figure.message}"


def _signs(said: str) -> Iterator[str]:
    for pattern, words in _SIGNS:
        for match in re.finditer(pattern, said):
            yield words.format(what=shortened(match.groupdict().get("what") or "", 60))


def _same_files(reports: list[Report]) -> dict[str, list[tuple[str, str]]]:
    """By student: who handed in the very same bytes."""
    by_digest: dict[str, list[str]] = {}
    for report in reports:
        if report.sha256 and report.outcome == "graded" and any(e.points for e in report.exercises):
            by_digest.setdefault(report.sha256, []).append(report.student)
    lines: dict[str, list[tuple[str, str]]] = {}
    for students in by_digest.values():
        for student in students:
            others = [other for other in students if other != student]
            if others:
                shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
                lines[student] = [(LOOK, f"the same file, byte for byte, as {shown}")]
    return lines
