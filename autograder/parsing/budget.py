"""What reading one submission may take of our own process: seconds of computing, and memory.

What students hand in is read where grades are made, by Python's parser, jupytext, nbformat and the like. Each of them
takes what it needs for what it is given; here that has an end, and the end is the student's, in words, with no score
held up.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from autograder.runtime.cpu_limit import OutOfTimeError, cpu_limit
from autograder.runtime.errors import SubmissionError

READ_SECONDS = 30.0  # of our own computing; a notebook of this assignment takes less than one
READ_MEGABYTES = 2048  # on top of what the process has; a notebook of this assignment takes some tens
_LEAST = 0.001  # where nothing is left: a limit all the same
_AGAIN = "Keep what the exercises need and hand it in again."


@contextlib.contextmanager
def reading_budget(seconds: float | None = None, megabytes: int | None = None) -> Iterator[None]:
    """Read within it what somebody handed in. Where signals or limits are not to be had, less is bounded.

    Args:
        seconds: CPU seconds of this process; `READ_SECONDS` if left out.
        megabytes: Address space on top of what the process has now; `READ_MEGABYTES` if left out.

    Raises:
        SubmissionError: One of the two is used up, or Python's stack; the text is for the student.
    """
    seconds = READ_SECONDS if seconds is None else seconds
    megabytes = READ_MEGABYTES if megabytes is None else megabytes
    try:
        with memory_limit(megabytes), cpu_limit(seconds):
            yield
    except OutOfTimeError as error:
        what = f"It takes more than {seconds:g} s to find out what this notebook defines: are there thousands of"
        raise SubmissionError(f"{what} statements, or hundreds of shell lines, in it? {_AGAIN}") from error
    except MemoryError as error:
        what = f"It takes more than {megabytes} MB of memory to read this file: is there a huge list in it, or"
        raise SubmissionError(f"{what} a head that refers to itself? {_AGAIN}") from error
    except RecursionError as error:
        raise SubmissionError(f"Something in this file is nested too deeply to be read. {_AGAIN}") from error


class SubmissionBudget:
    """Seconds of our own for all that is read of one submission, however often it is looked at."""

    def __init__(self, seconds: float | None = None) -> None:
        self._left = READ_SECONDS if seconds is None else seconds

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """As `reading_budget`, with what is left of the seconds."""
        begun = time.process_time()
        try:
            with reading_budget(max(self._left, _LEAST)):
                yield
        finally:
            self._left -= time.process_time() - begun


@contextlib.contextmanager
def memory_limit(megabytes: int) -> Iterator[None]:
    """Let this process have so much more address space within, and put its limit back; on Linux alone.

    What asks for more gets Python's MemoryError. Processes that are started within inherit the limit, not the rest.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    wanted = pages * resource.getpagesize() + megabytes * 2**20
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
