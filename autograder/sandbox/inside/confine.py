"""What a process does to itself so that what comes after it can do less. No way back from any of these."""

from __future__ import annotations

import ctypes
import os

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP = 1, 4, 22
_SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 36, 38
_FILTER = 2
_CAPABILITIES_VERSION = 0x20080522  # of capset's two arguments: three sets of 64 bits
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """`struct sock_fprog` of the kernel: how many instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def set_dumpable(yes: bool) -> None:
    """Whether other processes of the same user may look into this one: ptrace, /proc/PID/mem, /proc/PID/fd."""
    _prctl(_SET_DUMPABLE, int(yes))


def die_with_parent(signal: int) -> None:
    """Have the kernel send this process a signal when the one that forked it ends."""
    _prctl(_SET_PDEATHSIG, signal)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent has ended, so that they can be waited for."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """No set-uid program gives this process or a descendant anything again."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def load_filter(program: bytes) -> None:
    """Refuse system calls from here on.

    Args:
        program: From `seccomp.program`. `no_new_privileges` comes first, unless this is root.

    Raises:
        OSError: The kernel does not take it.
    """
    loaded = _Program(len(program) // 8, program)
    _prctl(_SET_SECCOMP, _FILTER, ctypes.addressof(loaded))


def become(uid: int) -> None:
    """Drop root for a user and the group of the same number, no other groups and no capabilities.

    Raises:
        OSError: This is not root, or the user cannot be had in this container.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (uid, uid, uid) or os.getgroups():
        raise OSError(f"still {os.getresuid()}, {os.getresgid()}, {os.getgroups()}")
    _drop_capabilities()


def _drop_capabilities() -> None:
    """All sets; a change of user leaves the inheritable one, which is not empty in some containers."""
    if _libc.capset((ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")


def _prctl(option: int, argument: int, other: int = 0) -> None:
    arguments = [ctypes.c_ulong(value) for value in (argument, other, 0, 0)]
    if _libc.prctl(option, *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
