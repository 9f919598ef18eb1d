"""Landlock: which files a process and its descendants may open, without root, mounts or file modes (Linux 5.13).

Used where no mount namespace hides what is not the student's. The kernel's interface is three system calls; the
package for them on the registry is a pre-release, and would have to be in reach of student code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_BENEATH = 1
_READ = 0b1101  # execute, read a file, list a folder
_FILE = 0b111 | 1 << 14  # what can be said of a file: execute, write, read, truncate
_SCOPES = 0b11  # no abstract socket of others, no signal to others: version 6
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """What the kernel has of it; 0 is nothing."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def make_rules(readable: Iterable[str], writable: Iterable[str]) -> int:
    """A descriptor of rules that allow these paths and what is below them, and nothing else.

    Args:
        readable: To read, list and execute; those that do not exist are skipped.
        writable: To do anything with.

    Raises:
        OSError: The kernel has no Landlock, or takes no such rules.
    """
    known = version()
    files = (1 << (13 + (known >= 2) + (known >= 3))) - 1  # what versions 1, 2 and 3 know of files
    asked = _Ruleset(files, 0, _SCOPES if known >= 6 else 0)
    size = 24 if known >= 6 else 8
    rules = _call(_CREATE, ctypes.byref(asked), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for paths, allowed in ((readable, _READ), (writable, files)):
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                _add(rules, path, allowed & files)
    return rules


def restrict(rules: int) -> None:
    """Bind this process to rules, for ever. `confine.no_new_privileges` comes first, unless this is root.

    Raises:
        OSError: The kernel does not take them.
    """
    _call(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0))


def _add(rules: int, path: str, allowed: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):  # noqa: PTH112 (read by itself where our other files are out of sight)
            allowed &= _FILE
        beneath = _Beneath(allowed, parent)
        _call(_ADD, ctypes.c_int(rules), ctypes.c_int(_BENEATH), ctypes.byref(beneath), ctypes.c_uint32(0))
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return result
