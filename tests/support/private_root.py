"""A private root to run a container's scripts in: the machine's libraries to read, one folder to write to, no network.

bubblewrap makes it, within a user namespace of its own that has root and the users that `sandbox/uid.py` takes; both
are this machine's same numbers, but with no rights outside. Its processes have the capabilities that a container's
root has, and a filter of system calls like a container's: no new namespaces, no mounts. Nothing of the machine can be
written but the folder, and nothing that runs in there outlives the command.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyseccomp
import pytest

from autograder.runtime.errors import KitError
from autograder.sandbox import bwrap, uid
from tests.conftest import ROOT

VENV = "/opt/fcoskit/venv"
# What Docker leaves the root of a container.
_CAPABILITIES = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT AUDIT_WRITE"
_NAMESPACES = 0x7E020080  # the flags of clone and unshare that make any
_MAPS = ((0, 1), (uid.FIRST_UID, 2 * uid.SLOTS))
# Waits in a new user namespace until its users are there, then becomes the command.
_ENTER = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0:
    sys.exit("no user namespace: " + os.strerror(ctypes.get_errno()))
told = int(sys.argv[1])
os.write(told, b"x")
os.close(told)
os.read(0, 1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class PrivateRoot:
    """A private root over a folder.

    Args:
        folder: Becomes `/autograder`.
        landlock: Whether the kernel's Landlock is in reach; many containers do not have it.
    """

    def __init__(self, folder: Path, *, landlock: bool = True) -> None:
        self.folder, self._landlock = folder, landlock

    def run(
        self, *command: str, variables: dict[str, str] | None = None, extra: tuple[str, ...] = (), seconds: float = 300
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command as root in there, in `/autograder`; `extra` are more arguments of bubblewrap's."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with self.running(*command, variables=variables, extra=extra, out=out, err=err) as process:
                process.wait(seconds)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, process.returncode, out.read(), err.read())

    @contextlib.contextmanager
    def running(
        self,
        *command: str,
        out: IO[bytes],
        err: IO[bytes],
        variables: dict[str, str] | None = None,
        extra: tuple[str, ...] = (),
        inherited: tuple[int, ...] = (),
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The same, begun and not waited for; it is killed at the end. `inherited` descriptors are open in there."""
        set_variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root"} | (variables or {})
        arguments = [*self._sees(), *extra, "--clearenv"]
        for name, value in set_variables.items():
            arguments += ["--setenv", name, value]
        with contextlib.ExitStack() as stack:
            with _filter(self._landlock) as file:
                arguments += ["--seccomp", str(file.fileno()), "--", *command]
                started = _in_new_users([bwrap.find_bwrap(), *arguments], (file.fileno(), *inherited), out, err)
                process = stack.enter_context(started)
            yield process

    def _sees(self) -> list[str]:
        """Bubblewrap's arguments: namespaces, capabilities, what is where."""
        args = [
            "--unshare-net",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--die-with-parent",
            "--new-session",
        ]
        args += ["--cap-drop", "ALL"]
        for name in _CAPABILITIES.split():
            args += ["--cap-add", f"CAP_{name}"]
        base, prefix = os.path.realpath(sys.base_prefix), os.path.realpath(sys.prefix)
        for place in ("/etc", *_above(VENV), *_above(base)):  # what bubblewrap makes by itself is root's alone
            args += ["--perms", "0755", "--dir", place]
        args += ["--ro-bind", "/usr", "/usr"]
        for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
            if Path(path).is_symlink():
                args += ["--symlink", str(Path(path).readlink()), path]
            elif Path(path).exists():
                args += ["--ro-bind", path, path]
        for path in ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/passwd"):
            args += ["--ro-bind-try", path, path]
        if not Path(base).is_relative_to("/usr"):
            args += ["--ro-bind", base, base]
        args += ["--ro-bind", prefix, VENV, "--proc", "/proc", "--dev", "/dev", "--perms", "0755", "--tmpfs", "/run"]
        args += ["--perms", "1777", "--tmpfs", "/tmp", "--bind", str(self.folder), "/autograder"]
        return [*args, "--chdir", "/autograder"]


def _above(path: str) -> list[str]:
    return [] if path.startswith("/usr/") else [str(folder) for folder in reversed(Path(path).parents)][1:]


@functools.cache
def why_not() -> str:
    """Why there can be no private root here; "" if there can."""
    if os.geteuid() != 0:
        return "only root can give a user namespace more users than one"
    with tempfile.TemporaryDirectory(prefix="fcoskit-root-test-") as name:
        Path(name).chmod(0o755)
        number = str(uid.FIRST_UID)
        became = f"import os; os.setgroups([]); os.setresgid(*[{number}] * 3); os.setresuid(*[{number}] * 3)"
        try:
            done = PrivateRoot(Path(name)).run(
                f"{VENV}/bin/python", "-I", "-c", f"{became}; print(os.getuid())", seconds=60
            )
        except (OSError, KitError, subprocess.SubprocessError) as error:
            return str(error)
        if done.stdout.strip() != number.encode():
            return (done.stderr or done.stdout).decode(errors="replace").strip()[-300:] or f"exit {done.returncode}"
    return ""


def private_root(folder: Path, *, landlock: bool = True) -> PrivateRoot:
    """A private root, or skip the test where none can be made."""
    if reason := why_not():
        pytest.skip(f"no private root on this machine: {reason}")
    return PrivateRoot(folder, landlock=landlock)


@contextlib.contextmanager
def _in_new_users(
    command: list[str], descriptors: tuple[int, ...], out: IO[bytes], err: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """A command as root of a new user namespace that has the users of `_MAPS`; it is killed at the end."""
    ready, told = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _ENTER, str(told), *command],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=err,
        pass_fds=[*descriptors, told],
        cwd=ROOT,
    )
    os.close(told)
    try:
        if os.read(ready, 1):
            _map_users(process.pid)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"x")
            process.stdin.close()
        yield process
    finally:
        os.close(ready)
        process.kill()
        process.wait()


def _map_users(pid: int) -> None:
    lines = "".join(f"{first} {first} {count}\n" for first, count in _MAPS)
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{kind}").write_text(lines)


@contextlib.contextmanager
def _filter(landlock: bool) -> Iterator[IO[bytes]]:
    """A file with a filter of system calls like a container's: everything that makes namespaces is refused."""
    refuse = pyseccomp.ERRNO(1)
    made = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for call in ("unshare", "clone"):
        for flag in (1 << bit for bit in range(32) if _NAMESPACES >> bit & 1):
            made.add_rule(refuse, call, pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    made.add_rule(pyseccomp.ERRNO(38), "clone3")  # its flags cannot be seen: C libraries fall back to clone
    for call in ("setns", "mount", "umount2", "pivot_root", "ptrace"):
        made.add_rule(refuse, call)
    if not landlock:
        made.add_rule(pyseccomp.ERRNO(38), "landlock_create_ruleset")
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        yield file
