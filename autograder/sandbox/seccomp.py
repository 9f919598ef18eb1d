"""The system calls that a student's process is refused, as a program for the kernel.

The list is compiled by libseccomp (through `pyseccomp`), on our side, once; bubblewrap or `confine.py` loads the
program. What is not on the list is allowed: torch, threads, fork and pipes work as always. The list is there for
what namespaces and a uid of its own do not stop: reaching into another process, new namespaces, corners of the
kernel that graded code has no use for, and memory that no process's size shows (memfd, System V).
"""

from __future__ import annotations

import errno
import functools
import platform
import socket
import tempfile
from typing import Any

from autograder.runtime.errors import KitError

ARCHITECTURES = ("x86_64", "aarch64")

# Never. A number stands for names that an older libseccomp may not know: from 424 on it is the same everywhere.
_REFUSED: dict[str, tuple[str | tuple[str, int], ...]] = {
    "other processes": (
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "kcmp",
        "migrate_pages",
        "move_pages",
        "ioprio_set",
        ("pidfd_getfd", 438),
        ("process_madvise", 440),
        ("process_mrelease", 448),
    ),
    "mounts": (
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "name_to_handle_at",
        "open_by_handle_at",
        ("open_tree", 428),
        ("move_mount", 429),
        ("fsopen", 430),
        ("fsconfig", 431),
        ("fsmount", 432),
        ("fspick", 433),
        ("mount_setattr", 442),
        ("open_tree_attr", 467),
    ),
    "namespaces": ("setns", "unshare", "sethostname", "setdomainname"),
    "keys": ("keyctl", "add_key", "request_key"),
    "corners of the kernel": (
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "fanotify_init",
        "lookup_dcookie",
        ("io_uring_setup", 425),
        ("io_uring_enter", 426),
        ("io_uring_register", 427),
        "vhangup",
        "personality",
    ),
    "the machine": (
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "acct",
        "quotactl",
        ("quotactl_fd", 443),
        "swapon",
        "swapoff",
        "reboot",
        "syslog",
        "settimeofday",
        "clock_settime",
        "adjtimex",
        "clock_adjtime",
        "iopl",
        "ioperm",
        "modify_ldt",
        "nfsservctl",
    ),
    "memory that no process's size shows": (
        "memfd_create",
        ("memfd_secret", 447),
        "shmget",
        "msgget",
        "semget",
        "mq_open",
    ),
}
# With a process id as their first argument: allowed for the caller itself, which 0 stands for.
_OWN_ONLY = ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr")
_NAMESPACE_FLAGS = (
    0x00000080,  # CLONE_NEWTIME
    0x00020000,  # CLONE_NEWNS
    0x02000000,  # CLONE_NEWCGROUP
    0x04000000,  # CLONE_NEWUTS
    0x08000000,  # CLONE_NEWIPC
    0x10000000,  # CLONE_NEWUSER
    0x20000000,  # CLONE_NEWPID
    0x40000000,  # CLONE_NEWNET
)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # put words into a terminal's input
_CLONE3 = ("clone3", 435)


def refused() -> list[str]:
    """Names of the system calls that are always refused, sorted."""
    names = [name if isinstance(name, str) else name[0] for group in _REFUSED.values() for name in group]
    return sorted(names)


@functools.cache
def program(architecture: str = "") -> bytes:
    """The filter as the kernel takes it: BPF instructions of 8 bytes each.

    Args:
        architecture: One of `ARCHITECTURES`; this machine's by default.

    Raises:
        KitError: libseccomp is not here, or the machine is of another kind; says what to do.
    """
    architecture = architecture or platform.machine()
    if architecture not in ARCHITECTURES:
        raise KitError(f"No filter of system calls for {architecture}: there is one for {', '.join(ARCHITECTURES)}.")
    library = _library()
    made = library.SyscallFilter(library.ALLOW)
    made.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)  # system calls in another machine's manner
    wanted = {"x86_64": library.Arch.X86_64, "aarch64": library.Arch.AARCH64}[architecture]
    if wanted != library.system_arch():
        made.add_arch(wanted)
        made.remove_arch(library.system_arch())
    _add_rules(library, made, wanted)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _add_rules(library: Any, made: Any, architecture: int) -> None:
    refuse, argument = library.ERRNO(errno.EPERM), library.Arg

    def rule(action: int, name: str | tuple[str, int], *conditions: Any) -> None:
        number = _number(library, name, architecture)
        if number is not None:
            made.add_rule(action, number, *conditions)

    for group in _REFUSED.values():
        for name in group:
            rule(refuse, name)
    for name in _OWN_ONLY:
        rule(refuse, name, argument(0, library.NE, 0))
    rule(refuse, "setpriority", argument(0, library.NE, 0))  # of a process group, or of all of a user's
    rule(refuse, "setpriority", argument(1, library.NE, 0))
    for flag in _NAMESPACE_FLAGS:
        rule(refuse, "clone", argument(0, library.MASKED_EQ, flag, flag))
    rule(library.ERRNO(errno.ENOSYS), _CLONE3)  # its flags lie in memory, out of a filter's sight; libc has clone
    for request in (_TIOCSTI, _TIOCLINUX):
        rule(refuse, "ioctl", argument(1, library.MASKED_EQ, 0xFFFFFFFF, request))
    unreachable = library.ERRNO(errno.ENETUNREACH)
    for name in ("socket", "socketpair"):
        rule(unreachable, name, argument(0, library.NE, int(socket.AF_UNIX)))


def _number(library: Any, name: str | tuple[str, int], architecture: int) -> int | None:
    """What libseccomp calls a system call; None if that architecture has none of this name."""
    text, known = (name, None) if isinstance(name, str) else name
    there = int(library.resolve_syscall(architecture, text))
    if there == -1:  # an older libseccomp than the kernel
        return known if architecture == library.system_arch() else None
    return int(library.resolve_syscall(library.Arch.NATIVE, text)) if there >= 0 else None


def _library() -> Any:
    try:
        import pyseccomp
    except ImportError as error:
        raise KitError(
            "The Python package pyseccomp is missing: install what requirements.lock lists (`make`). It compiles "
            "the filter of system calls that student code runs under."
        ) from error
    except (OSError, RuntimeError) as error:
        raise KitError(
            "The library libseccomp is not on this machine. Student code runs under a filter of system calls that "
            "it compiles: install it (`apt install libseccomp2`, `dnf install libseccomp`)."
        ) from error
    return pyseccomp
