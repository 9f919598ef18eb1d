"""One job on the CPU and on another device: what `check()` says of it there, with TF32 off and on."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from autograder.course.assignment import Assignment
from autograder.notebook_kit.run_public import run_public
from autograder.runtime.offline_weights import weights_answered
from data_scripts.gpu_report.cases import Job, load_case

ROUNDS = ("off", "on")  # TF32


class Verdict(NamedTuple):
    """What a check says: its status, the fault that it names, and the rest."""

    status: str
    diagnosis: str
    message: str


@dataclass(frozen=True)
class Examined:
    """One job on both devices.

    Attributes:
        cpu: Verdicts by check.
        device: The same on the other device, by TF32 "off" and "on".
        broke: The round after which the device did not answer any more: this process is of no further use.
    """

    cpu: dict[str, Verdict]
    device: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    broke: str = ""


def examine(assignment: Assignment, job: Job, device: str) -> Examined:
    """Run the public checks of a job on the CPU and, with TF32 off and on, on a device."""
    with contextlib.redirect_stdout(io.StringIO()), weights_answered():
        cpu = _verdicts(assignment, job, "cpu")
        found: dict[str, dict[str, Verdict]] = {}
        for tf32 in ROUNDS:
            with tf32_set(tf32 == "on"):
                found[tf32] = _verdicts(assignment, job, device)
            if not answers(device):
                return Examined(cpu, found, broke=tf32)
    return Examined(cpu, found)


def _verdicts(assignment: Assignment, job: Job, device: str) -> dict[str, Verdict]:
    canned = list(assignment.exercise(job.exercise).canned)
    torch.manual_seed(0)  # what a module draws for its weights is the same each time
    namespace = load_case(assignment, job.case, device)
    folders = assignment.suites, assignment.reference
    results = run_public(job.exercise, namespace, canned, *folders, device=torch.device(device))
    return {r.name: Verdict(r.status, r.diagnosis, (r.message or r.details)[:400]) for r in results}


@contextlib.contextmanager
def tf32_set(on: bool) -> Iterator[None]:
    """Let matrix products and convolutions on a GPU round their inputs to TF32, or not."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = on
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def answers(device: str) -> bool:
    """Whether a device still computes: an index out of bounds on a GPU ends that for the whole process."""
    try:
        return float(torch.ones(2, device=device).sum()) == 2.0
    except (RuntimeError, AssertionError):  # the latter of a torch that is built without that device
        return False
