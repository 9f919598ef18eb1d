"""What `check()` says of the course's own solutions, right and wrong, on a device against what it says on the CPU.

The cases run without a sandbox: they are the course's own, on staff's own machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

from autograder.course.assignment import Assignment
from autograder.grading.cases import SOLUTION
from data_scripts.gpu_report.cases import Job, chosen, jobs
from data_scripts.gpu_report.examined import Examined, Verdict
from data_scripts.gpu_report.plan import Part, Setting
from data_scripts.gpu_report.processes import Processes

RIGHT = (SOLUTION, "variant")
DIED = "no verdict"
_LONGEST = 300.0  # seconds that one exercise of one case may take, the start of a process included


@dataclass(frozen=True)
class Difference:
    """A check that says one thing on the CPU and another on the device."""

    case: str
    kind: str
    exercise: str
    check: str
    tf32: str
    cpu: str
    device: str
    message: str


def differences(job: Job, examined: Examined) -> tuple[list[Difference], list[Difference]]:
    """The checks of a job whose status differs, and those that name another fault."""
    status, words = [], []
    for tf32, found in examined.device.items():
        for check in examined.cpu | found:
            cpu, other = (v.get(check, Verdict("absent", "", "")) for v in (examined.cpu, found))
            sample = job.case.sample.student
            row = (sample, job.case.kind, job.exercise, check, tf32)
            if cpu.status != other.status:
                status.append(Difference(*row, cpu.status, other.status, other.message or cpu.message))
            elif cpu.diagnosis != other.diagnosis:
                words.append(Difference(*row, cpu.diagnosis, other.diagnosis, other.message))
    return status, words


def compare(
    assignment: Assignment,
    setting: Setting,
    deadline: float,
    step: Callable[[int, int], None] = lambda done, of: None,
) -> Part:
    """Examine the cases of the proof until the time is up.

    Args:
        assignment: Whose.
        setting: On what device, how many cases, in how many processes.
        deadline: On `time.monotonic`'s clock.
        step: Called after each job with how many are done, and of how many.

    Returns:
        `data`: counts, "differences" (wanted: none), "other_words", and "right_that_fail": checks that fail on right
        code whatever the device.
    """
    every = chosen(assignment, None)
    cases = chosen(assignment, setting.sizes.cases)
    todo = jobs(assignment, cases)
    seen: list[tuple[Job, Examined | str]] = []
    with Processes(setting.sizes.processes, assignment, str(setting.device)) as processes:
        for job, answer in processes.work(todo, _LONGEST, deadline):
            seen.append((job, answer))
            step(len(seen), len(todo))
    part = summary(seen)
    part.data |= {"jobs": len(todo), "cases": len(cases), "all_cases": len(every)}
    part.data["kinds"] = dict(Counter(case.kind for case in cases))
    if len(cases) < len(every):
        part.cut.append(f"Verdicts: {len(cases)} of {len(every)} cases were asked for.")
    if left := [job for job in todo if all(job is not done for done, _ in seen)]:
        named = ", ".join(f"{count} of {exercise}" for exercise, count in Counter(j.exercise for j in left).items())
        part.cut.append(f"Verdicts: the time was up after {len(seen)} of {len(todo)} jobs; not examined: {named}.")
    return part


def summary(seen: list[tuple[Job, Examined | str]]) -> Part:
    """What the answers come to."""
    part = Part()
    status: list[Difference] = []
    words: list[Difference] = []
    broke, checks, failing = [], 0, []
    for job, answer in seen:
        sample = job.case.sample
        if isinstance(answer, str):
            status.append(
                Difference(sample.student, job.case.kind, job.exercise, "(all)", "", "not known", DIED, answer)
            )
            continue
        one, other = differences(job, answer)
        status += one
        words += other
        checks += len(answer.cpu) * len(answer.device)
        if answer.broke:
            broke.append(f"{sample.student}, {job.exercise}, TF32 {answer.broke}")
        if job.case.kind in RIGHT:
            failing += [
                f"{sample.student}, {job.exercise}/{check}: {verdict.status}: {verdict.diagnosis or verdict.message}"
                for check, verdict in answer.cpu.items()
                if verdict.status != "passed"
            ]
    part.data = {
        "done": len(seen),
        "checks": checks,
        "differences": [asdict(row) for row in status],
        "other_words": [asdict(row) for row in words],
        "broke_the_device": broke,
        "right_that_fail": failing,
    }
    if status:
        part.differs.append(f"{len(status)} verdicts differ from the CPU's.")
    if failing:
        part.differs.append(f"{len(failing)} checks fail on right code, on the CPU already.")
    return part
