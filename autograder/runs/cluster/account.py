"""Who and what a run on a cluster keeps account of: workers, submissions to grade, tasks that are out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from autograder.course.digests import IMAGES, SUITES
from autograder.intake.submissions import Submission
from autograder.report.terminal import counted
from autograder.runs.cluster.connection import said
from autograder.runs.cluster.worker import Workplace


@dataclass(eq=False)
class Worker:
    """A worker of the cluster. `place` is None until it has said what it has."""

    address: str
    name: str
    threads: int
    running: bool = True
    place: Workplace | None = None
    jobs: set[str] = field(default_factory=set)

    @property
    def host(self) -> str:
        """The machine that it runs on."""
        return urlsplit(self.address).hostname or self.address

    @property
    def shown(self) -> str:
        """What people read."""
        return self.address if self.name == self.address else f"{self.name} ({self.address})"


@dataclass(eq=False)
class Job:
    """A submission to grade, with its seed, and how many workers were lost over it."""

    submission: Submission
    seed: int
    lost: int = 0


@dataclass(eq=False)
class Flight:
    """A task that is out: a submission's, or a question about the worker if `job` is None."""

    worker: Worker
    future: Any
    job: Job | None


def difference(worker: Worker, place: Any, here: dict[str, str]) -> str:
    """Why a worker may not grade, in a sentence or two; "" if it may."""
    if not isinstance(place, Workplace):
        return (
            f"Worker {worker.shown} cannot load the kit ({said(place)}). The same kit has to be installed for every "
            "worker and for the scheduler."
        )
    if place.problem:
        return f"Worker {worker.shown} cannot grade: {place.problem}"
    words = {SUITES: "the files of kit, suites and course", IMAGES: "the images that weights are measured by"}
    wrong = [
        f"{words[name]} are not those here" if name in words else f"{name} is {place.decides.get(name)}, here {value}"
        for name, value in here.items()
        if place.decides.get(name) != value
    ]
    return f"Worker {worker.shown} would not give the same verdicts: {'; '.join(wrong)}." if wrong else ""


def summary(address: str, ready: list[Worker]) -> str:
    """What grades: a sentence for the terminal."""
    hosts, slots = len({worker.host for worker in ready}), sum(worker.threads for worker in ready)
    kinds = ", ".join(sorted({worker.place.sandbox for worker in ready if worker.place}))
    counts = ", ".join((counted(slots, "slot"), counted(len(ready), "worker"), counted(hosts, "machine")))
    return f"Cluster {address}: {counts}; sandbox: {kinds}."
