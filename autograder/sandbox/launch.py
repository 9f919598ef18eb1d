"""What starting a sandbox takes, whichever kind it is; the kinds are in `bwrap.py` and `uid.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from autograder.course.assignment import Assignment
from autograder.course.digests import shipped

# What of the kit is seen inside: whole rooms, and what makes packages of them. No suite, tensor or engine is there.
SEEN = ("__init__.py", "runtime", "sandbox/__init__.py", "sandbox/inside")
PRELOADER = "autograder/sandbox/inside/preloader.py"


class SandboxFailed(Exception):
    """The sandbox could not be made or did not start: our fault, never the student's."""


@dataclass
class Launch:
    """A preloader to be started.

    Attributes:
        command: Its command line.
        environment: Its environment; None if the command sees to that.
        descriptors: What it inherits besides the control socket.
    """

    command: list[str]
    environment: dict[str, str] | None = None
    descriptors: list[int] = field(default_factory=list)


def settings(assignment: Assignment, home: dict[str, Any], scratch_bytes: int = 0) -> str:
    """What `preloader.main` is told, as JSON.

    Args:
        assignment: Limits, and what is imported before the first worker.
        home: The kind of its home and that home's arguments.
        scratch_bytes: Size of the scratch folder where no tmpfs sees to it.
    """
    limits = assignment.limits
    caps = {"memory": limits.memory_megabytes * 2**20, "tasks": limits.processes, "scratch": scratch_bytes}
    modules = ["torchvision.models.feature_extraction", *(package.name for package in shipped(assignment))]
    return json.dumps({"home": home, "caps": caps, "modules": modules})


def environment(kit: str, scratch: str) -> dict[str, str]:
    """All of a preloader's environment.

    Args:
        kit: The folder with our files and the shipped packages.
        scratch: The folder that workers may write to.
    """
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "USER": "student",
        "LANG": "C.UTF-8",
        "PYTHONPATH": kit,
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_FOR_THREADS_NUM": "1",  # fork takes no threads along
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": scratch,
        "TORCH_HOME": scratch,
        "TQDM_DISABLE": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # memory in large pages: a fifth fewer seconds in the kernel
    }
