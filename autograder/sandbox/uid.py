"""Student code as a user that nobody else is: for containers that refuse namespaces and where we are root.

Each slot takes a uid of its own from a range that no account has (`FCOSKIT_SANDBOX_UID` names the first one) and
holds it by a lock. The preloader stays root, where a worker cannot signal it or look into it; each worker drops to
that uid with no groups, no capabilities, no way to new privileges, a filter of system calls that leaves no socket
but local ones, and one folder to write to. No mount hides the course's files here: so a sandbox is refused where
that user could open them. `docs/security.md` says what this does not defend.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autograder.course.assignment import PACKAGE, Assignment
from autograder.course.digests import shipped
from autograder.runtime.errors import KitError
from autograder.sandbox import seccomp, secrets
from autograder.sandbox.inside import sweep
from autograder.sandbox.launch import PRELOADER, SEEN, Launch, environment, settings

FIRST_UID = 60600  # between the ranges that systemd, distributions and containers give away
SLOTS = 200
BASE = Path("/run/fcoskit")
_VARIABLE = "FCOSKIT_SANDBOX_UID"
_END_SECONDS = 20.0

# Before the look of `secrets.py`: as a worker is restricted.
_RESTRICTED = """
import json, sys
if version():
    _libc.prctl(38, *(ctypes.c_ulong(n) for n in (1, 0, 0, 0)))  # no new privileges
    restrict(make_rules(json.loads(sys.argv[1]), []))
"""

# Run as root: kill every process of a user, with that user's rights and out of its reach, see `home.Apart`.
_END = """
import contextlib, os, sys
uid, keeper = map(int, sys.argv[1:])
os.setgroups([])
os.setresgid(keeper, uid, 0)
os.setresuid(keeper, uid, 0)
with contextlib.suppress(ProcessLookupError):
    os.kill(-1, 9)
"""


class Lease:
    """A uid that is this slot's as long as the lock is held, with a folder for it.

    Raises:
        KitError: None is to be had.
    """

    def __init__(self) -> None:
        first = _first_uid()
        try:
            BASE.mkdir(mode=0o711, exist_ok=True)
            BASE.chmod(0o711)
            for uid in range(first, first + SLOTS):
                descriptor = _lock(uid)
                if descriptor is not None:
                    break
            else:
                raise KitError(f"All {SLOTS} users from {first} on are taken. Name others: {_VARIABLE}=NUMBER.")
        except OSError as error:
            raise KitError(f"The sandbox needs a folder {BASE}, and cannot have it: {error}") from error
        self.uid, self.keeper, self._lock = uid, uid + SLOTS, descriptor
        self.folder = BASE / str(uid)

    def furnish(self, assignment: Assignment) -> None:
        """Lay out the folder: our files to read, one folder to write to."""
        self._clear()
        (self.folder / "scratch").mkdir(parents=True, mode=0o700)
        os.chown(self.folder / "scratch", self.uid, self.uid)
        kit = self.folder / "kit"
        for name in SEEN:
            _copy(PACKAGE / name, kit / "autograder" / name)
        for package in shipped(assignment):
            _copy(package, kit / package.name)
        for path in (self.folder, kit, *kit.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def inherited(self) -> int:
        """A copy of the lock for the preloader: the uid stays taken until that one has cleaned up."""
        return os.dup(self._lock)

    def close(self) -> None:
        """End what still runs as that user, and give the uid back.

        A preloader does that itself, unless it was killed, or was starved by what it should have ended. What cannot
        be ended or removed is met, and told, by the next one who has this uid.
        """
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self._end_all()
        with contextlib.suppress(OSError, KitError):
            self._clear()
        os.close(self._lock)

    def _end_all(self) -> None:
        deadline = time.monotonic() + _END_SECONDS
        command = [sys.executable, "-I", "-S", "-B", "-c", _END, str(self.uid), str(self.keeper)]
        while _runs(self.uid) and time.monotonic() < deadline:
            subprocess.run(command, capture_output=True, check=False, timeout=_END_SECONDS, cwd="/")
            time.sleep(0.02)

    def _clear(self) -> None:
        """Remove the folder: the worker's files as such, ours as ours, and nothing that is neither."""
        sweep.refuse_mounts(str(self.folder))
        scratch = self.folder / "scratch"
        for owner in (self.uid, 0):  # a preloader that was killed may leave something of its own
            sweep.empty(str(scratch), owner)
        sweep.empty(str(self.folder / "kit"), 0)
        for folder in (scratch, self.folder / "kit", self.folder):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


def launch(assignment: Assignment, descriptor: int, lease: Lease) -> Launch:
    """How to start a preloader whose workers are the lease's user.

    Args:
        assignment: Limits and what may be imported.
        descriptor: The inherited control socket.
        lease: The uid and its folder.

    Raises:
        KitError: No filter.
    """
    lease.furnish(assignment)
    kit, scratch = str(lease.folder / "kit"), str(lease.folder / "scratch")
    home: dict[str, Any] = {"kind": "apart", "uid": lease.uid, "keeper": lease.keeper, "scratch": scratch}
    home |= {"program": base64.b64encode(seccomp.program()).decode(), "readable": [kit, *_readable()]}
    told = settings(assignment, home, assignment.limits.tmpfs_megabytes * 2**20)
    preloader = f"{kit}/{PRELOADER}"
    command = [sys.executable, "-B", preloader, str(descriptor), told]
    return Launch(command, environment(kit, scratch), [lease.inherited()])


def check_possible() -> None:
    """Whether this process can become another user here.

    Raises:
        KitError: It cannot; says why.
    """
    if os.geteuid() != 0:
        raise KitError("only root can run student code as another user")
    uid = _first_uid()
    try:
        done = subprocess.run(["/bin/true"], user=uid, group=uid, extra_groups=[], capture_output=True, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise KitError(f"this container does not let root become user {uid}: {error}") from error
    if done.returncode != 0:
        raise KitError(f"user {uid} cannot run /bin/true here")
    seccomp.program()


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what Python compiled; without modes and dates."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=skip, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)


def check_secrets(paths: Iterable[Path]) -> None:
    """Whether what has to be secret is, and what has to be readable is, for the sandbox's user.

    Args:
        paths: Files and folders that student code must not read.

    Raises:
        KitError: With the command that mends it. Nobody's permissions are changed unasked.
    """
    import torch

    uid = _first_uid()
    needed = [os.__file__, torch.__file__]
    landlock = (PACKAGE / "sandbox" / "inside" / "landlock.py").read_text(encoding="utf-8")
    command = [sys.executable, "-I", "-B", "-c"]
    whose: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []}
    try:
        leaks, missing = secrets.seen(command, landlock + _RESTRICTED, _real(paths), needed, _readable(), **whose)
    except (OSError, ValueError) as error:
        place = os.path.realpath(sys.base_prefix)
        raise KitError(
            f"The sandbox's user ({uid}) cannot run this Python, which lies in {place}. Use a Python that every user "
            f"may run, or open the folders above it for passing through: `chmod o+x {_closed_above(Path(place))}`."
        ) from error
    if missing:
        raise KitError(f"The sandbox's user ({uid}) cannot read {missing[0]}. Student code needs it: `chmod -R o+rX`.")
    if leaks:
        raise KitError(
            f"Student code would run as user {uid}, who can read {leaks[0]}: without namespaces nothing else hides it. "
            f"Close it and try again: `chmod -R go-rwx {' '.join(leaks)}`."
        )


def _real(paths: Iterable[Path]) -> list[Path]:
    return [path.resolve() for path in paths if path.exists()]


def _readable() -> list[str]:
    """What a worker may read besides its kit: the system's libraries, this Python, and its packages but not ours.

    Packages may lie elsewhere than this Python (`PYTHONPATH`, a virtual environment over another): asked of torch's.
    """
    system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/proc", "/dev", "/etc/localtime"]
    system += ["/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/passwd"]
    python = {os.path.realpath(sys.base_prefix), os.path.realpath(sys.prefix), sys.prefix}
    if torch := importlib.util.find_spec("torch"):
        python.add(str(Path(str(torch.origin)).resolve().parents[1]))
    return [*system, *(path for root in sorted(python) for path in _without_kit(Path(root)))]


def _without_kit(root: Path) -> list[str]:
    """A folder; or, where the kit lies below it, everything in it that is not on the way to the kit."""
    if root == PACKAGE:
        return []
    if not PACKAGE.is_relative_to(root):
        return [str(root)]
    return [path for entry in sorted(root.iterdir()) for path in _without_kit(entry)]


def _closed_above(path: Path) -> str:
    closed = [str(folder) for folder in (*reversed(path.parents), path) if not folder.stat().st_mode & 0o001]
    return " ".join(closed) or str(path)


def _first_uid() -> int:
    text = os.environ.get(_VARIABLE, str(FIRST_UID))
    if not text.isdecimal() or not 1000 <= int(text) < 2**31:
        raise KitError(f"{_VARIABLE} has to be the number of an unused user from 1000 on, not {text!r}.")
    return int(text)


def _lock(uid: int) -> int | None:
    """Take a uid: no account has it, and no other slot. What still runs under it then is a dead slot's."""
    for each in (uid, uid + SLOTS):  # the second is the keeper, see `home.py`
        with contextlib.suppress(KeyError):
            pwd.getpwuid(each)
            return None
    path = BASE / f"{uid}.lock"
    known = path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if known or not _in_use(uid):
            return descriptor
        path.unlink()  # somebody else's after all
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def _runs(uid: int) -> bool:
    """Whether a process has that user among its own, also one that hides whose it is; the dead do not count."""
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError, KeyError):
            if not entry.name.isdecimal():
                continue
            lines = Path(entry.path, "status").read_text(errors="replace").splitlines()
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            if str(uid) in fields["Uid"].split() and "Z" not in fields["State"].split()[0]:
                return True
    return False


def _in_use(uid: int) -> bool:
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and entry.stat().st_uid == uid:
                return True
    return False
