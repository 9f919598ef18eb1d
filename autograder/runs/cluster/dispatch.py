"""Grading on a Dask cluster: submissions go out as bytes, reports come back to the one process that writes them.

What Dask does: it starts workers wherever there are machines, carries the bytes (with TLS if asked), notices who is
lost, runs a task on a worker. What is decided here: who gets which submission, and what a loss means. A worker gets as
many submissions as it has threads and no more, each as a task that only this worker may run, so that it is known at
any moment which submissions were at work where. Dask's own retries would count against whatever lay in the lost
worker's queue, and would let a submission that ends workers end four of them.

A lost worker's submissions are tried once more, each with nothing else of ours on its machine. A submission whose
second worker is lost too is set aside for a human; one that merely stood beside it keeps its turn.

Who may give a grade is settled before any work is sent: a worker says what it has (`digests.what_decides`), and one
that has something else is refused by name.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import secrets
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autograder.course.assignment import Assignment
from autograder.course.digests import SUITES, what_decides
from autograder.intake.parcel import pack
from autograder.intake.submissions import Submission
from autograder.report.model import Report
from autograder.report.terminal import counted
from autograder.runs.cluster.account import Flight, Job, Worker, difference, summary
from autograder.runs.cluster.connection import connected, said
from autograder.runs.cluster.worker import Answer, Order, describe, grade_one
from autograder.runs.run_folder import LOG
from autograder.runs.slot_pool import Seeds
from autograder.runs.slots import failed_report
from autograder.runtime.errors import KitError

TRIES = 2
_FETCH_SECONDS = 10  # for an answer that is ready, to come from its worker
_LOOK_SECONDS = 0.5
_SET_ASIDE = (
    "the machine that graded this submission was lost, and so was a second one, which had nothing else to grade. The "
    "submission may be what ends them. A person has to look at it."
)

Say = Callable[[str], None]


@contextlib.contextmanager
def open_cluster(address: str, assignment: Assignment, sandbox: str, out: Path, say: Say) -> Iterator[Cluster]:
    """Connect to a scheduler and hold its workers to what is here.

    Args:
        address: As Dask writes it: `tcp://host:8786`, or `tls://` with the certificates that Dask's settings name.
        assignment: What is graded.
        sandbox: Asked of each worker; see `grade.grade_submissions`.
        out: The run's folder; what workers logged about failures of ours goes into its `grade.log`.
        say: Told in a sentence what happens to workers.

    Raises:
        KitError: No `distributed`, no scheduler, no workers within the time, or one that would grade differently.
    """
    client = connected(address)
    cluster = Cluster(client, address, assignment, sandbox, out / LOG, say)
    try:
        cluster.gather_workers()
        yield cluster
    finally:
        cluster.forget()
        with contextlib.suppress(Exception):  # whatever it has against going, the reports are written
            client.close(timeout=5)


class Cluster:
    """Workers that grade; made by `open_cluster`."""

    def __init__(self, client: Any, address: str, assignment: Assignment, sandbox: str, log: Path, say: Say) -> None:
        import dask

        self._client, self._address, self._assignment = client, address, assignment
        self._sandbox, self._log, self._say = sandbox, log, say
        self._decides = what_decides(assignment)
        self._patience = float(dask.config.get("fcoskit.wait-for-workers", 120))
        self._workers: dict[str, Worker] = {}
        self._left_out: set[str] = set()
        self._flights: dict[str, Flight] = {}
        self._landed: queue.Queue[str] = queue.Queue()
        self._waiting: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._reports: deque[tuple[Submission, Report]] = deque()
        self._keys = (f"fcoskit-{secrets.token_hex(6)}-{number}" for number in itertools.count())
        self._looked = 0.0
        self._helpless_since: float | None = None

    @property
    def line(self) -> str:
        """What grades: a sentence for the terminal."""
        return summary(self._address, self._ready())

    @property
    def sandboxes_here(self) -> set[str]:
        """The kinds that student code gets on those workers that see this machine's files."""
        here = socket.gethostname()
        return {worker.place.sandbox for worker in self._ready() if worker.place and worker.place.host == here}

    def gather_workers(self) -> None:
        """Wait until each worker that is there has said what it has, and refuse those that differ.

        Raises:
            KitError: One differs; or there is none, or none answers, within the time.
        """
        last = time.monotonic() + self._patience
        while not self._ready() or (any(w.place is None for w in self._workers.values()) and time.monotonic() < last):
            self._look()
            self._land(strict=True)

    def grade(self, todo: list[Submission], seeds: Seeds) -> Iterator[tuple[Submission, Report]]:
        """Grade submissions; reports come in the order in which they are ready.

        Args:
            todo: What to grade. Each is read when its turn comes.
            seeds: Of the checks' random inputs, a secret one for each if None; and of the images for weights.

        Raises:
            KitError: The scheduler is lost, or there is no worker for too long.
        """
        seed, figure_seed = seeds
        self._waiting.extend(Job(one, secrets.randbits(48) if seed is None else seed) for one in todo)
        for _ in todo:
            while not self._reports:
                self._look()
                self._hand_out(figure_seed)
                self._land()
            yield self._reports.popleft()

    def forget(self) -> None:
        """Take back what is out. What a worker has begun it ends, and nobody waits for it."""
        for flight in self._flights.values():
            with contextlib.suppress(Exception):
                flight.future.cancel()
        self._flights.clear()

    def _ready(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.place and worker.running]

    def _look(self) -> None:
        """See who is there: greet who is new, give up who is lost; and do not wait for ever for anybody."""
        if self._client.status != "running":
            raise KitError(
                f"The scheduler {self._address} is lost. What was graded is kept: start it again, with workers, and "
                "give the same command."
            )
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        there = self._client.scheduler_info(n_workers=-1)["workers"]
        self._looked = time.monotonic()
        for worker in [worker for worker in self._workers.values() if worker.address not in there]:
            self._lose(worker)
        for address, told in there.items():
            if address not in self._workers and address not in self._left_out:
                worker = self._workers[address] = Worker(address, str(told["name"]), int(told["nthreads"]))
                self._send(worker, None, describe, self._assignment.id, self._sandbox)
            if address in self._workers:
                self._workers[address].running = told["status"] == "running"
        self._left_out &= set(there)
        self._be_patient(len(there))

    def _be_patient(self, there: int) -> None:
        if self._ready():
            self._helpless_since = None
        elif self._helpless_since is None:
            self._helpless_since = time.monotonic()
            if not there:
                self._say(f"{self._address} has no workers: waiting for some, at most {self._patience:g} s.")
        elif time.monotonic() - self._helpless_since > self._patience:
            what = f"{counted(there, 'worker')} but none that answers and can grade" if there else "no workers"
            raise KitError(
                f"The scheduler {self._address} has {what}, for {self._patience:g} s now. Start some with "
                f"`dask worker {self._address} --nthreads 1`, from the course's folder, and give the same command; "
                "what was graded is kept. (DASK_FCOSKIT__WAIT_FOR_WORKERS=600 waits longer.)"
            )

    def _hand_out(self, figure_seed: int | None) -> None:
        """Give every free thread a submission; a suspect only where nothing else of ours is on the machine."""
        busy = Counter(flight.worker.host for flight in self._flights.values() if flight.job)
        alone = {flight.worker.host for flight in self._flights.values() if flight.job and flight.job.lost}
        ready = self._ready()
        for worker in ready:
            if self._suspects and not busy[worker.host]:
                self._order(worker, self._suspects.popleft(), figure_seed)
                busy[worker.host] += 1
                alone.add(worker.host)
        if self._suspects:  # one machine gets nothing more until it is free for them
            alone.add(min((w.host for w in ready if w.host not in alone), key=lambda host: busy[host], default=""))
        open_ = [worker for worker in ready if worker.host not in alone]
        while self._waiting:
            free = [worker for worker in open_ if len(worker.jobs) < worker.threads]
            if not free:
                return
            self._order(min(free, key=lambda w: len(w.jobs) / w.threads), self._waiting.popleft(), figure_seed)

    def _order(self, worker: Worker, job: Job, figure_seed: int | None) -> None:
        assert worker.place is not None
        try:
            parcel = pack(job.submission, self._assignment)
        except OSError as error:
            self._set_aside(job, f"{job.submission.path.name} cannot be read: {error.strerror}.")
            return
        what = (worker.place.process, self._assignment.id, self._sandbox, self._decides[SUITES])
        self._send(worker, job, grade_one, Order(*what, parcel, job.seed, figure_seed))

    def _send(self, worker: Worker, job: Job | None, function: Callable[..., Any], *arguments: Any) -> None:
        key = next(self._keys)
        only_there = {"workers": [worker.address], "allow_other_workers": False, "pure": False}
        future = self._client.submit(function, *arguments, key=key, **only_there)
        self._flights[key] = Flight(worker, future, job)
        if job:
            worker.jobs.add(key)
        future.add_done_callback(lambda done: self._landed.put(done.key))

    def _land(self, strict: bool = False) -> None:
        """Take what has come back, waiting a little for the first. `strict` refuses a worker that differs."""
        unfetched = []
        try:
            key = self._landed.get(timeout=_LOOK_SECONDS)
            while True:
                if key in self._flights and not self._take(key, strict):
                    unfetched.append(key)
                key = self._landed.get_nowait()
        except queue.Empty:
            pass
        finally:
            for key in unfetched:  # for next time: if its worker is gone, the look between says so
                self._landed.put(key)

    def _take(self, key: str, strict: bool) -> bool:
        """Take one answer; whether there is nothing left to fetch of it."""
        from distributed import CancelledError, TimeoutError
        from distributed.scheduler import KilledWorker

        flight = self._flights[key]
        try:
            answer = flight.future.result(timeout=_FETCH_SECONDS)
        except TimeoutError:
            return False
        except (CancelledError, KilledWorker):
            self._lose(flight.worker)
            return True
        except Exception as error:
            answer = error
        self._flights.pop(key)
        flight.worker.jobs.discard(key)
        if flight.job is None:
            self._introduce(flight.worker, answer, strict)
        else:
            self._settle(flight.worker, flight.job, answer)
        return True

    def _introduce(self, worker: Worker, place: Any, strict: bool) -> None:
        """Accept a worker, or refuse it."""
        why = difference(worker, place, self._decides)
        if not why:
            worker.place = place
            return
        if strict:
            raise KitError(f"{why} Nothing was sent to the cluster. Mend or stop that worker, and try again.")
        self._left_out.add(worker.address)
        del self._workers[worker.address]
        self._say(f"Left out: {why}")

    def _settle(self, worker: Worker, job: Job, answer: Any) -> None:
        """What came of a submission."""
        if isinstance(answer, Answer) and answer.stranger:
            self._waiting.appendleft(job)  # its worker has been started anew and did not begin: no try of the job's
            self._lose(worker)
        elif isinstance(answer, Answer) and answer.refused:
            raise KitError(f"Worker {worker.shown} cannot grade: {answer.refused} What was graded is kept.")
        else:
            try:
                if not isinstance(answer, Answer):
                    raise ValueError(said(answer))
                report = Report.from_json(json.loads(answer.report))
            except (ValueError, KeyError, TypeError) as error:
                self._say(f"Worker {worker.shown}, grading {job.submission.key}: {said(error)}")
                self._again(job, "two machines of the cluster failed on it, not the code in it. Staff will look.")
                return
            self._reports.append((job.submission, self._checked(worker, job, report, answer.log)))

    def _checked(self, worker: Worker, job: Job, report: Report, log: str) -> Report:
        """A report as it would read had it been graded here."""
        if report.suites != self._decides[SUITES] or report.student != job.submission.student:
            raise KitError(
                f"Worker {worker.shown} gave a report that is not of these suites, or not of {job.submission.key}: "
                "were files of the kit or the course changed meanwhile? What was graded before is kept; give the "
                "command again when they are the same everywhere."
            )
        report.path, report.member = str(job.submission.path.resolve()), job.submission.member
        if log:
            self._note(f"{job.submission.key}, on {worker.shown}:\n{log}")
        return report

    def _lose(self, worker: Worker) -> None:
        """Give up a worker; its submissions are tried elsewhere."""
        self._workers.pop(worker.address, None)
        gone = [key for key, flight in self._flights.items() if flight.worker is worker]
        jobs = []
        for key in gone:
            flight = self._flights.pop(key)
            flight.future.cancel()
            jobs += [flight.job] if flight.job else []
        names = ", ".join(job.submission.key for job in jobs)
        self._say(f"Lost worker {worker.shown}" + (f", which was grading {names}." if jobs else "."))
        for job in jobs:
            self._again(job)

    def _again(self, job: Job, why: str = _SET_ASIDE) -> None:
        """A second try, or none."""
        job.lost += 1
        if job.lost < TRIES:
            self._suspects.append(job)
            return
        self._set_aside(job, why, f" after {TRIES} tries")

    def _set_aside(self, job: Job, why: str, when: str = "") -> None:
        """No score: staff will look."""
        self._note(f"{job.submission.key}: set aside{when}: {why}")
        self._reports.append((job.submission, failed_report(self._assignment, job.submission, job.seed, why)))

    def _note(self, text: str) -> None:
        """Keep for staff what happened."""
        with self._log.open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(f"{text}\n")
