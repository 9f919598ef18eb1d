"""A run: many submissions -> a folder of reports that can be continued.

`out/grades.csv`, and per student `out/<student>/report.json` (staff's) and `feedback.html` (the
student's). Each file is written whole or not at all; what is there with the same notebook and the same
suites is not graded again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.course.digests import suites_digest
from autograder.course.map_settings import SEED_BITS, MapSettings
from autograder.course.rubric import read_rubric
from autograder.intake.submissions import Submission
from autograder.intake.weights import digest
from autograder.report.anonymous import read_key
from autograder.report.blank import blank_report
from autograder.report.files import read_report, read_reports, write_grades, write_report, write_whole
from autograder.report.leaderboard import leaderboard_csv
from autograder.report.model import Report
from autograder.report.prices import apply_rubric_to
from autograder.runs.by_hand import apply_by_hand, read_by_hand
from autograder.runs.cluster.dispatch import open_cluster
from autograder.runs.lateness import apply_late, read_late
from autograder.runs.run_folder import FIGURE_SEED, LOG, held
from autograder.runs.slot_pool import Keep, Seeds, SlotPool, grade_in, open_slots
from autograder.runtime.errors import KitError, SubmissionError
from autograder.sandbox import probe

GRADES, LEADERBOARD, KEY = "grades.csv", "map.csv", "pseudonyms.key"

Progress = Callable[[Report, bool], None]


@dataclass
class Run:
    """What a run came to.

    Attributes:
        reports: By student, ordered by key; those of earlier, continued runs included.
        out: Where they lie.
    """

    out: Path
    reports: dict[str, Report] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """1 where a human has to look: one has no score, something of ours broke, or none can be read; else 0."""
        reports = self.reports.values()
        broke = any(figure.status == "grader_error" for report in reports for figure in report.figures)
        lost = bool(reports) and all(report.status == "unreadable" for report in reports)
        return int(broke or lost or any(report.score is None for report in reports))


def grade_submissions(
    assignment: Assignment,
    submissions: list[Submission],
    out: Path,
    *,
    jobs: int = 1,
    sandbox: str = "auto",
    seed: int | None = None,
    figure_seed: int | None = None,
    progress: Progress | None = None,
    slots: SlotPool | None = None,
    scheduler: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Grade submissions into a folder.

    Args:
        assignment: What is graded.
        submissions: From `submissions.find_submissions`.
        out: Made if it is not there.
        jobs: How many slots work at a time.
        sandbox: One of `probe.KINDS`.
        seed: Of the random inputs; a secret one for each submission if None.
        figure_seed: What picks the images that weights are measured by, the same for all submissions of a run, so that
            they can be compared; if None, a secret one that the run's folder keeps in `map.seed`.
        progress: Called with each report, and whether it was there already, in this thread.
        slots: From `open_slots`, to grade in; `jobs` and `sandbox` are theirs then. Own ones if None.
        scheduler: Address of a Dask cluster's, to grade there and not here; see `runs.cluster`.
        say: Told in a sentence what happens to the cluster.

    Raises:
        KitError: Nothing can be graded: no sandbox, suites that do not collect, a folder that is not ours, a cluster
            that is not there or would grade differently.
    """
    kind = "" if scheduler else probe.choose(sandbox).kind
    with held(out):
        probe.keep_out(kind, _secrets(out, submissions))
        if figure_seed is None and assignment.map is not None:
            figure_seed = secret_seed(out / FIGURE_SEED)
        seeds = (seed, figure_seed)
        if scheduler:
            grade_all = partial(_grade_there, assignment, scheduler, sandbox, out, seeds, say)
        else:
            grade_all = partial(_grade_here, assignment, kind, jobs, slots, out, seeds)
        return _grade_into(assignment, submissions, out, grade_all, progress or (lambda report, known: None))


def _secrets(out: Path, submissions: list[Submission]) -> list[Path]:
    """What student code must not read."""
    weights = [submission.weights.path for submission in submissions if submission.weights]
    return [out, *weights, *(submission.path for submission in submissions)]


def _grade_into(
    assignment: Assignment,
    submissions: list[Submission],
    out: Path,
    grade_all: Callable[[list[Submission], Keep], None],
    progress: Progress,
) -> Run:
    by_hand, late, rubric = read_by_hand(out, assignment), read_late(out), read_rubric(assignment.folder)
    run = Run(out)
    suites = suites_digest(assignment)
    todo: list[Submission] = []

    def keep(submission: Submission, report: Report) -> None:
        apply_rubric_to(report, rubric)
        apply_by_hand(report, by_hand)
        report.origin = submission.origin
        apply_late(report, assignment.late, late)
        write_report(out / submission.key, report)
        run.reports[submission.key] = report
        progress(report, False)

    for submission in submissions:
        report, known = _without_grading(out, submission, suites, assignment)
        if report is None:
            todo.append(submission)
            continue
        changed = apply_rubric_to(report, rubric)
        changed |= apply_by_hand(report, by_hand) or report.origin != submission.origin
        report.origin = submission.origin
        changed |= apply_late(report, assignment.late, late)
        if changed or not known:
            write_report(out / submission.key, report)
        run.reports[submission.key] = report
        progress(report, known)
    try:
        if todo:
            grade_all(todo, keep)
    finally:
        _write_tables(out, assignment)
    return run


def _write_tables(out: Path, assignment: Assignment) -> None:
    """Write `grades.csv` and the leaderboard, of earlier runs' reports too; none where nothing was ever graded."""
    reports = read_reports(out)
    if reports or (out / GRADES).exists():
        write_grades(out / GRADES, assignment, reports)
        if assignment.map is not None:
            write_leaderboard(out, assignment.map, reports)


def _without_grading(
    out: Path, submission: Submission, suites: str, assignment: Assignment
) -> tuple[Report | None, bool]:
    """The report of a submission that needs no grading, if it is one, and whether the folder has that report."""
    report = ungraded(assignment, submission, suites)
    if report is None:
        known = _known(out, submission, suites, assignment)
        return known, known is not None
    try:
        stored = read_report(out / submission.key)
    except (OSError, ValueError, KeyError, TypeError):
        return report, False
    report.origin = submission.origin
    same = replace(stored, started=report.started, late_days=0.0, late_per_cent=0.0) == report
    report.late_days, report.late_per_cent = stored.late_days, stored.late_per_cent
    return report, report.score is not None and same


def write_leaderboard(out: Path, settings: MapSettings, reports: list[Report]) -> None:
    """Write `map.csv`, for staff to show or not."""
    key = read_key(out / KEY) if settings.short_names else None
    write_whole(out / LEADERBOARD, leaderboard_csv(reports, settings.id, key), 0o600)


def secret_seed(path: Path) -> int:
    """A secret number that a file keeps for its owner alone; made where there is none.

    Raises:
        KitError: The file holds something else.
    """
    if not path.exists():
        write_whole(path, f"{secrets.randbits(SEED_BITS)}\n", 0o600)
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise KitError(f"{path} does not hold the seed that the kit wrote. Remove it for another one.") from error


def _grade_there(
    assignment: Assignment,
    scheduler: str,
    sandbox: str,
    out: Path,
    seeds: Seeds,
    say: Callable[[str], None],
    todo: list[Submission],
    keep: Keep,
) -> None:
    """Grade on a cluster."""
    with open_cluster(scheduler, assignment, sandbox, out, say) as cluster:
        say(cluster.line)
        for kind in cluster.sandboxes_here:
            probe.keep_out(kind, _secrets(out, todo))
        for submission, report in cluster.grade(todo, seeds):
            keep(submission, report)


def _grade_here(
    assignment: Assignment,
    kind: str,
    jobs: int,
    slots: SlotPool | None,
    out: Path,
    seeds: Seeds,
    todo: list[Submission],
    keep: Keep,
) -> None:
    """Grade on this machine."""
    log, jobs = out / LOG, min(jobs, len(todo))
    with contextlib.nullcontext(slots) if slots else open_slots(assignment, kind, log, jobs) as ready:
        grade_in(ready, todo, seeds, keep)


def sandbox_line(asked: str) -> str:
    """Which sandbox student code gets here, and why: a sentence for the terminal.

    Raises:
        KitError: None is to be had.
    """
    return probe.choose(asked).line


def ungraded(assignment: Assignment, submission: Submission, suites: str | None = None) -> Report | None:
    """The report of a submission that holds nothing to run, or that a human has to look at first; None for others."""
    if not submission.problem:
        return None
    report = blank_report(assignment, submission.student, submission.name, suites or suites_digest(assignment), 0)
    report.outcome = "undecided" if submission.candidates else "unreadable"
    report.problem = submission.problem
    return report


def _known(out: Path, submission: Submission, suites: str, assignment: Assignment) -> Report | None:
    """The report of an earlier run, if notebook, weights and suites are the same and it came to a score."""
    try:
        report = read_report(out / submission.key)
        same = hashlib.sha256(submission.read(assignment.limits.notebook_megabytes)).hexdigest() == report.sha256
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError, SubmissionError):
        return None
    same = same and _same_weights(report, submission, assignment)
    return report if same and report.suites == suites and report.score is not None else None


def _same_weights(report: Report, submission: Submission, assignment: Assignment) -> bool:
    """Whether the figures of a report still hold: of these weights, and none that broke by our fault."""
    if assignment.map is None or assignment.map.id in submission.skip:
        return True
    figure = next((figure for figure in report.figures if figure.id == assignment.map.id), None)
    if figure is None or figure.status == "grader_error":
        return False
    if figure.status == "missing" and report.problem:
        return True  # the notebook cannot be read: no weights were looked at
    return (figure.file, figure.sha256) == digest(submission.weights, assignment.map.weights_megabytes)
