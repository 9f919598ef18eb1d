"""`fcoskit validate`: do the suites catch what is wrong, name it, and let pass what is right?

Every case of `cases.py` is graded as a submission is, in the sandbox. The suites hold if the solution gets all
points and the blank release none; each mutant loses points in its own exercise and in no other, at the price of the
rubric, and nine of ten are named; each variant keeps every point; and each check fails on some mutant.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from autograder.checks.result import CheckResult
from autograder.commands.front import progress_bar, tenths
from autograder.commands.price_proof import Cost, price_lines, price_problems
from autograder.course.assignment import Assignment
from autograder.course.rubric import read_rubric
from autograder.grading.cases import BLANK, SOLUTION, Case, concerns, load_proof, write_case
from autograder.grading.record import write_record
from autograder.grading.samples import touched_names
from autograder.intake.submissions import Submission
from autograder.report.model import Report
from autograder.report.terminal import first_fault
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import SlotPool, open_slots
from autograder.runtime.errors import KitError

NAMED_SHARE = 0.9


@dataclass
class Verdict:
    """What one case showed.

    Attributes:
        case: Which.
        lost: Exercises that lost points.
        tripped: Checks, as "exercise/name", that did not pass.
        named: For a wrong solution: the feedback holds the words it must; for an unseen one, any diagnosis.
        wrong: What must not be, in words; empty if all is well.
        cost: For a fault in one exercise: what it lost there.
    """

    case: Case
    lost: frozenset[str] = frozenset()
    tripped: frozenset[str] = frozenset()
    named: bool = False
    wrong: list[str] = field(default_factory=list)
    cost: Cost | None = None


@dataclass
class Proof:
    """What all cases showed.

    Attributes:
        verdicts: One a case.
        idle: Checks that fail on no mutant.
        prices: Where the costs of faults are not those of the rubric.
    """

    verdicts: list[Verdict]
    idle: list[str]
    prices: list[str] = field(default_factory=list)

    @property
    def costs(self) -> list[Cost]:
        """What each mutant with a fault in one exercise lost there."""
        return [v.cost for v in self.of("mutant") if v.cost is not None]

    def of(self, kind: str, exercise: str = "") -> list[Verdict]:
        """Verdicts of one kind, of one exercise if it is given."""
        return [v for v in self.verdicts if v.case.kind == kind and (not exercise or exercise in v.case.sample.loses)]

    @property
    def named_share(self) -> float:
        """Share of the mutants that the feedback names."""
        mutants = self.of("mutant")
        return sum(v.named for v in mutants) / len(mutants) if mutants else 1.0

    @property
    def pairs(self) -> int:
        """Distinct pairs of a check and a mutant that it fails on."""
        return sum(len(v.tripped) for v in self.of("mutant"))

    @property
    def problems(self) -> list[str]:
        """Why the suites do not hold; empty if they do."""
        found = [line for v in self.verdicts if v.case.kind != "unseen" for line in v.wrong]
        found += [f"no mutant fails the check {name}: remove it, or add one" for name in self.idle]
        found += self.prices
        if self.named_share < NAMED_SHARE:
            found.append(f"{self.named_share:.0%} of the mutants are named, at least {NAMED_SHARE:.0%} must be")
        return found


def validate(
    assignment: Assignment,
    console: Console,
    *,
    jobs: int = 2,
    seed: int = 0,
    exercise: str | None = None,
    slots: SlotPool | None = None,
) -> int:
    """Grade every case, print what they show, and keep the outcome for the release.

    Args:
        assignment: Whose suites.
        console: To print on.
        jobs: Cases graded at a time.
        seed: What random inputs are drawn from.
        exercise: Only the cases that concern this one, for a quick answer; then no outcome is kept.
        slots: From `open_slots`, to grade in; `jobs` is theirs then. Own ones if None.

    Returns:
        Exit code: 0 if the suites hold.

    Raises:
        KitError: There is no such exercise, or no release yet.
    """
    if not (assignment.release / f"{assignment.notebook}.ipynb").is_file():
        raise KitError(
            f"There is no release/{assignment.id} yet, and the notebook as released is one of the cases: run "
            f"`fcoskit release {assignment.id}` first."
        )
    proof = prove(assignment, console, jobs=jobs, seed=seed, exercise=exercise, slots=slots)
    console.print(proof_table(assignment, proof, console, exercise))
    mutants, unseen = proof.of("mutant"), proof.of("unseen")
    console.print(
        f"{_count(len(mutants), 'mutant')}, {proof.pairs} pairs of check and fault, {proof.named_share:.0%} named."
    )
    if unseen:
        caught = sum(bool(v.lost) for v in unseen)
        told = sum(bool(v.lost) and v.named for v in unseen)
        said = f"Unseen faults: {caught} of {len(unseen)} caught, {told} with a diagnosis or the place of the error"
        console.print(f"{said}. (Only counted: nothing is mended for them one by one.)")
    for line in price_lines(proof.costs, read_rubric(assignment.folder)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    nameless = [v.case.sample.student for v in mutants if not v.named]
    if nameless:
        shown = f"Caught or not, not named: {', '.join(nameless)}"
        console.print(shown, style="dim", markup=False, highlight=False, soft_wrap=True)
    for problem in proof.problems:
        console.print(f"  {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    variants = proof.of("variant")
    full = sum(not v.lost for v in variants)
    those = "right solution that differs" if len(variants) == 1 else "right solutions that differ"
    console.print(f"{len(variants)} {those}: {full} keep every point.", highlight=False)
    if exercise is None:
        write_record(assignment, proof.problems)
    if not proof.problems:
        whole = "The suites hold." if exercise is None else f"The suites of {exercise} hold."
        console.print(whole, style="green", highlight=False)
    return int(bool(proof.problems))


def prove(
    assignment: Assignment,
    console: Console,
    *,
    jobs: int,
    seed: int,
    kinds: frozenset[str] | None = None,
    exercise: str | None = None,
    slots: SlotPool | None = None,
) -> Proof:
    """Grade the cases (those of some kinds only, or that concern one exercise, if they are given) and judge each."""
    known = {assignment.exercise(exercise).id} if exercise else {e.id for e in assignment.exercises}
    others = tuple(e.id for e in assignment.exercises if e.id not in known)
    cases = [case for case in load_proof(assignment) if kinds is None or case.kind in kinds]
    cases = [case for case in cases if exercise is None or concerns(assignment, case, exercise)]
    with (
        tempfile.TemporaryDirectory(prefix="fcoskit-proof-") as name,
        progress_bar(console) as bar,
        ThreadPoolExecutor(1) as pool,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        # Writing the cases and starting the slots take some ten seconds each: both at once.
        stop = threading.Event()
        stack.callback(stop.set)
        writing = pool.submit(_write, assignment, cases, folder / "submitted", stop)
        if slots is None:
            slots = stack.enter_context(
                open_slots(assignment, "auto", folder / "grade.log", min(jobs, len(cases) or 1))
            )
        submissions = writing.result()
        # A wrong solution must lose its own points and no others, so only of the right ones a part will do: what is
        # asked about, and what they write otherwise than the solution, which that may lean on.
        submissions = [
            s if c.kind in ("mutant", "unseen") else replace(s, skip=(*s.skip, *_untouched(assignment, c, others)))
            for c, s in zip(cases, submissions, strict=True)
        ]
        task, say = bar.add_task("grading the proof", total=len(cases)), tenths(console, len(cases), "cases graded")

        def step(*_: object) -> None:
            bar.advance(task)
            say()

        run = grade_submissions(
            assignment,
            submissions,
            folder / "graded",
            slots=slots,
            seed=seed,
            progress=step,
        )
        verdicts = [judge(case, run.reports[s.key]) for case, s in zip(cases, submissions, strict=True)]
    solution = next((run.reports[s.key] for c, s in zip(cases, submissions, strict=True) if c.kind == SOLUTION), None)
    every = (
        {_id(check) for e in solution.exercises for check in e.checks if check.exercise in known} if solution else set()
    )
    tripped = {check for v in verdicts if v.case.kind == "mutant" for check in v.tripped}
    proof = Proof(verdicts, sorted(every - tripped))
    mutants = frozenset(c.sample.student for c in load_proof(assignment) if c.kind == "mutant")
    proof.prices = price_problems(proof.costs, read_rubric(assignment.folder), mutants)
    return proof


def _untouched(assignment: Assignment, case: Case, exercises: tuple[str, ...]) -> list[str]:
    """Of some exercises those that a right solution writes as the solution does; all of them for a whole notebook."""
    touched = {name.partition(".")[0] for name in touched_names(assignment, case.sample)}
    return [name for name in exercises if not touched & set(assignment.exercise(name).names)]


def _write(assignment: Assignment, cases: list[Case], folder: Path, stop: threading.Event) -> list[Submission]:
    """Write the cases, unless told to stop."""
    return [write_case(assignment, case, folder) for case in cases if not stop.is_set()]


def judge(case: Case, report: Report) -> Verdict:
    """Hold one report to what its case must show."""
    name, verdict = case.sample.student, Verdict(case)
    if report.score is None:
        verdict.wrong.append(f"{name}: no verdict ({first_fault(report, 200) or report.status})")
        return verdict
    exercises = [e for e in report.exercises if e.id not in {figure.id for figure in report.figures}]
    checks = [check for e in exercises for check in e.checks]
    verdict.lost = frozenset(e.id for e in exercises if e.points < e.max_points)
    verdict.tripped = frozenset(_id(check) for check in checks if check.status != "passed")
    if case.kind == BLANK:
        verdict.wrong += [f"{name}: {report.score:g} points, not 0"] if report.score else []
    elif case.kind in ("mutant", "unseen"):
        own = case.sample.loses
        verdict.wrong += [f"{name}: keeps all points of {e} ({case.sample.about})" for e in sorted(own - verdict.lost)]
        verdict.wrong += [f"{name}: loses points in {e}, too" for e in sorted(verdict.lost - own)]
        said = [check for check in checks if check.status != "passed" and check.exercise in own]
        verdict.named = _named(case, said)
        if len(own) == 1:
            lost = [Cost(name, e.id, e.max_points - e.points, e.max_points) for e in exercises if e.id in own]
            verdict.cost = lost[0] if lost else None
    else:
        for check in checks:
            if check.status != "passed":
                why = (check.diagnosis or check.details or check.message).partition("\n")[0][:160]
                verdict.wrong.append(f"{name}: right, but loses {_id(check)}: {why}")
    return verdict


def proof_table(assignment: Assignment, proof: Proof, console: Console, only: str | None = None) -> Table:
    """A row an exercise: how many wrong solutions there are, caught, caught alone, named; and the unseen ones."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII2, pad_edge=False)
    for column in ("exercise", "checks tripped", "mutants", "caught", "own points only", "named", "unseen", "caught"):
        table.add_column(column, justify="left" if column == "exercise" else "right")
    for exercise in [e for e in assignment.exercises if only in (None, e.id)]:
        mutants, unseen = proof.of("mutant", exercise.id), proof.of("unseen", exercise.id)
        tripped = {check for v in mutants for check in v.tripped if check.startswith(f"{exercise.id}/")}
        table.add_row(
            exercise.id,
            str(len(tripped)),
            str(len(mutants)),
            str(sum(exercise.id in v.lost for v in mutants)),
            str(sum(v.lost == v.case.sample.loses for v in mutants)),
            str(sum(v.named for v in mutants)),
            str(len(unseen)),
            str(sum(exercise.id in v.lost for v in unseen)),
        )
    return table


def _named(case: Case, said: list[CheckResult]) -> bool:
    """Whether what these checks say tells what is wrong: to the student, or to staff where a page may not say it."""
    if case.kind == "unseen":
        return any(check.diagnosis or (check.status != "failed" and "line " in check.message) for check in said)
    told = [f"{check.diagnosis} {check.message} {check.details}" for check in said]
    return bool(case.sample.says) and any(case.sample.says in text for text in told)


def _id(check: CheckResult) -> str:
    return f"{check.exercise}/{check.name}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
