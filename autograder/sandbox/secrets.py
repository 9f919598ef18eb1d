"""Whether student code could open what it must not: looked at from inside, before anything is graded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autograder.course.assignment import Assignment

# Run where student code would be: what of the first list can be opened, what of the second cannot.
_LOOK = """
import json, os, sys
secret, needed = json.load(sys.stdin)

def opens(path):
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False

def leaks(root):
    if not os.path.isdir(root):
        return opens(root)
    for folder, _, names in os.walk(root):
        if any(opens(os.path.join(folder, name)) for name in names):
            return True
    return False

print(json.dumps([[p for p in secret if leaks(p)], [p for p in needed if not opens(p)]]))
"""


def secrets_of(assignment: Assignment) -> list[Path]:
    """What student code must not read: suites, reference tensors, the instructor's source, the proof's cases."""
    return list(dict.fromkeys([assignment.suites, assignment.reference, assignment.folder, assignment.proof]))


def seen(
    command: list[str],
    before: str,
    paths: Iterable[Path],
    needed: Iterable[str],
    readable: Iterable[str] = (),
    **options: Any,
) -> tuple[list[str], list[str]]:
    """Look, as student code could.

    Args:
        command: Runs Python there; the script is added.
        before: A script that comes first, and finds `readable` as JSON in its first argument.
        paths: What must not be read, as it is called there.
        needed: Files that must be read.
        readable: For `before`.
        options: For `subprocess.run`.

    Returns:
        Those of `paths` that can be read, files or anything in folders; those of `needed` that cannot.

    Raises:
        OSError, ValueError: Python does not run there.
    """
    told = json.dumps([[str(path) for path in paths], list(needed)])
    done = subprocess.run(
        [*command, f"{before}\n{_LOOK}", json.dumps(list(readable))],
        input=told,
        text=True,
        cwd="/",
        capture_output=True,
        check=False,
        **options,
    )
    leaks, missing = json.loads(done.stdout)
    return leaks, missing
