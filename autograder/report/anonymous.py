"""A class that can be shared: nobody's name, and no number about fewer than `K` students.

A count is told only if it and its rest hold `K` students or more; neighbouring bins of scores are joined until
each holds that many (k-anonymity: L. Sweeney, International Journal of Uncertainty, Fuzziness and Knowledge-based
Systems 10, 2002). Extremes belong to single students and are left out. A pseudonym is a keyed hash (HMAC-SHA-256,
RFC 2104): the same student has the same one under the same key, and without the key a guess at a name cannot be
checked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.report.items import Item
from autograder.report.model import Report
from autograder.report.summary import Bin, ClassSummary, ExerciseSummary, Scores, summarise
from autograder.runtime.errors import KitError

K = 5
_KEY_BYTES = 32


@dataclass(frozen=True)
class Row:
    """A student in the shared table: a pseudonym, and the range that the score lies in."""

    pseudonym: str
    low: float
    high: float


def shared_summary(reports: list[Report]) -> ClassSummary:
    """The numbers of a class, without those that are about fewer than `K` students.

    Raises:
        KitError: Fewer than `K` were graded: nothing can be shared.
    """
    scored = _crowd(reports)
    if len(scored) < K:
        raise KitError(
            f"An anonymous form needs at least {K} graded students, here are {len(scored)}: with fewer, whoever "
            "knows the class knows whose numbers they are."
        )
    full = summarise(scored)
    told = range(K, len(scored) - K + 1)  # a few without a verdict would be a small number, too
    return replace(
        full,
        first=full.first[:7],
        last=full.last[:7],
        scores=_scores(full.scores),
        exercises=tuple(_exercise(exercise) for exercise in full.exercises),
        items=tuple(_item(item) for item in full.items if item.verdicts in (len(scored), *told)),
        lost=(),
        diagnoses=tuple(d for d in full.diagnoses if d.named and tellable(d.count, len(scored))),
        attention=(),
        suites=(),
        seconds=(),
    )


def _crowd(reports: list[Report]) -> list[Report]:
    """Those who are in the shared form: graded, and with a score. How many others there are is not told."""
    return [report for report in reports if report.outcome == "graded" and report.score is not None]


def tellable(count: int, whole: int) -> bool:
    """Whether a count may be told: it and the rest hold at least `K`. "All" would say it of each one."""
    return K <= count <= whole - K


def in_words(count: int, whole: int) -> str:
    """A count as it may be told: "12", or no more than that it is small or large."""
    if tellable(count, whole):
        return str(count)
    return f"fewer than {K}" if 2 * count < whole else f"more than {max(whole - K, 0)}"


def rows(reports: list[Report], key: bytes) -> list[Row]:
    """A row for each graded student, in the order of the pseudonyms; ranges are those of `shared_summary`."""
    bins = shared_summary(reports).scores.bins
    found = []
    for report in _crowd(reports):
        home = next((one for one in bins if (report.score or 0.0) + 1e-9 < one.high), bins[-1])
        found.append(Row(pseudonym(report.student, key), home.low, home.high))
    return sorted(found, key=lambda row: row.pseudonym)


def pseudonym(student: str, key: bytes) -> str:
    """What a student is called in what is shared: 60 bits of a keyed hash of the name."""
    name = unicodedata.normalize("NFC", student).encode("utf-8", "surrogatepass")
    digest = hmac.new(key, name, hashlib.sha256).digest()
    return "s-" + base64.b32encode(digest)[:12].decode().lower()


def read_key(path: Path) -> bytes:
    """The key of the pseudonyms; made where there is none, for its owner alone to read.

    Raises:
        KitError: The file is no key, or cannot be read or made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(_KEY_BYTES) + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise KitError(f"{path}: the key of the pseudonyms cannot be made ({error.strerror}).") from error
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise KitError(f"{path} is no key of pseudonyms, or cannot be read. Name another with --key.") from error
    if len(key) != _KEY_BYTES:
        raise KitError(f"{path} is no key of pseudonyms: it holds {len(key)} bytes, not {_KEY_BYTES}.")
    return key


def joined(bins: tuple[Bin, ...]) -> list[Bin]:
    """Neighbouring bins made one until each holds `K` or more; what is left at the end joins the last."""
    made: list[Bin] = []
    rest: Bin | None = None
    for one in bins:
        rest = Bin(rest.low, one.high, rest.count + one.count) if rest else one
        if rest.count >= K:
            made.append(rest)
            rest = None
    if rest and made:
        made[-1] = Bin(made[-1].low, rest.high, made[-1].count + rest.count)
    elif rest:
        made.append(rest)
    return made


def _scores(scores: Scores) -> Scores:
    """Mean, median and deviation in whole points, bins joined, no extremes."""
    mean, median, deviation = (
        None if value is None else float(round(value)) for value in (scores.mean, scores.median, scores.deviation)
    )
    coarse = replace(scores, mean=mean, median=median, deviation=deviation, low=None, high=None)
    return replace(coarse, without=0, unreadable=0, bins=tuple(joined(scores.bins)))


def _exercise(exercise: ExerciseSummary) -> ExerciseSummary:
    """The mean to half a point, and that alone."""
    mean = None if exercise.mean is None or exercise.count < K else round(2 * exercise.mean) / 2
    return replace(exercise, mean=mean, count=0, full=0, part=0, none=0, seconds=(), megabytes=())


def _item(item: Item) -> Item:
    """Difficulty to a hundredth and discrimination to a tenth, where enough passed and enough did not."""
    if not tellable(item.passed, item.verdicts) or item.difficulty is None:
        return replace(item, difficulty=None, discrimination=None, seconds=None)
    discrimination = None if item.discrimination is None else round(item.discrimination, 1)
    return replace(item, difficulty=round(item.difficulty, 2), discrimination=discrimination, seconds=None)
