"""Before a notebook is handed in: what passes in this session and would not pass from the saved file.

A kernel remembers what cells defined that are changed or deleted since; a grader sees the file alone. So the file is
read as grading reads it, in a fresh process (`rehearse.py`), and the public checks run there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from autograder.notebook_kit.handout import Handout, spoken
from autograder.notebook_kit.rehearse import ANSWER, NOTEBOOK

SECONDS = 240.0
_UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
_SLOW = f"Reading the saved file took longer than {SECONDS:g} s, so what a grader gets from it was not tried."
_BROKE = "Reading the saved file as a grader does broke off, by our fault: only what ran here was checked."


def rehearse(given: Handout, content: dict[str, Any], exercises: list[str]) -> list[str]:
    """Read a saved notebook in a fresh process, and say what does not pass there.

    Args:
        given: The assignment.
        content: The notebook's JSON.
        exercises: Those that pass in this session.

    Returns:
        A sentence or two for each exercise that does not pass from the file; or one that says why it is not known.
    """
    if not exercises:
        return []
    with tempfile.TemporaryDirectory(prefix="fcoskit-rehearsal-") as name:
        folder = Path(name)
        (folder / NOTEBOOK).write_text(json.dumps(content), encoding="utf-8", errors="replace")
        request = {
            "handout": given.to_json(),
            "suites": str(given.suites),
            "reference": str(given.reference),
            "exercises": exercises,
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        try:
            subprocess.run(
                [sys.executable, "-m", "autograder.notebook_kit.rehearse", str(folder)],
                cwd=name,
                env=_environment(name),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=True,
            )
            answer = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
        except subprocess.TimeoutExpired:
            return [_SLOW]
        except (OSError, ValueError, subprocess.CalledProcessError):
            return [_BROKE]
    bound = set(answer["bound"])
    return [
        _told(exercise, told["said"], bound) for exercise, told in answer["exercises"].items() if not told["passed"]
    ]


def _told(exercise: str, said: str, bound: set[str]) -> str:
    """What to say of an exercise that passes here and not there."""
    undefined = _UNDEFINED.search(said)
    if undefined and undefined[1] not in bound:
        why = f"`{undefined[1]}` is defined nowhere in this file: run on a fresh kernel it is missing."
    else:
        why = f"Run on a fresh kernel, from top to bottom, it says: {said}"
    return f"{spoken(exercise)} passes in this session and not from the saved file. {why}"


def _environment(home: str) -> dict[str, str]:
    """The grader's: no GPU, no folder of the student's own to write settings to."""
    own = {"CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg", "MPLCONFIGDIR": home, "IPYTHONDIR": home, "HOME": home}
    own |= {"TMPDIR": home, "TQDM_DISABLE": "1", "PYTHONDONTWRITEBYTECODE": "1", "TORCH_HOME": home}
    paths = [str(Path(entry).resolve()) for entry in sys.path if entry and not entry.endswith(".zip")]
    return {**os.environ, **own, "PYTHONPATH": os.pathsep.join(paths)}
