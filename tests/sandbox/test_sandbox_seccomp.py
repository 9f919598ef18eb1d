"""The filter of system calls: what it decides, on both kinds of machine, and that the kernel keeps to it."""

import errno
import platform
import struct
import sys

import pytest

from autograder.runtime.errors import KitError
from autograder.sandbox import seccomp
from tests.support.sandboxes import Sandbox

try:
    import pyseccomp
except (ImportError, OSError, RuntimeError) as error:
    pytest.skip(f"no filter to test on this machine: {error}", allow_module_level=True)

MACHINES = {"x86_64": (0xC000003E, pyseccomp.Arch.X86_64), "aarch64": (0xC00000B7, pyseccomp.Arch.AARCH64)}
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, ENETUNREACH = (0x50000 | number for number in (errno.EPERM, errno.ENOSYS, errno.ENETUNREACH))


def decide(program, machine, number, *arguments):
    """What a filter says of a system call: a plain interpreter of the instructions that such filters consist of."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number, machine, 0, *padded)
    steps = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = held = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x20:  # load a word
            held = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:  # and
            held &= value
        elif code == 0x05:  # jump
            at += value
        elif code in (0x15, 0x25, 0x35):  # jump if equal, greater, at least
            at += yes if {0x15: held == value, 0x25: held > value, 0x35: held >= value}[code] else no
        elif code == 0x06:  # done
            return value
        else:
            raise AssertionError(f"an instruction of another kind: {code:#x}")


@pytest.fixture(params=MACHINES)
def verdict(request):
    """Ask the filter of one kind of machine about a system call by name."""
    machine, architecture = MACHINES[request.param]
    program = seccomp.program(request.param)

    def ask(name, *arguments):
        return decide(program, machine, pyseccomp.resolve_syscall(architecture, name), *arguments)

    return ask


@pytest.mark.parametrize("name", ["ptrace", "process_vm_writev", "mount", "move_mount", "setns", "unshare", "keyctl"])
def test_refused_on_both_kinds_of_machine(verdict, name):
    """Reaching into others, mounts, namespaces and keys."""
    assert verdict(name) == EPERM


@pytest.mark.parametrize("name", ["bpf", "userfaultfd", "perf_event_open", "io_uring_setup", "kexec_load", "shmget"])
def test_corners_of_the_kernel_are_refused(verdict, name):
    """What graded code has no use for."""
    assert verdict(name) == EPERM


@pytest.mark.parametrize("name", ["read", "write", "openat", "mmap", "futex", "execve", "wait4", "kill", "pipe2"])
def test_allowed_on_both_kinds_of_machine(verdict, name):
    """What any program needs."""
    assert verdict(name) == ALLOW


@pytest.mark.parametrize("name", ["prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setattr"])
def test_only_the_caller_itself(verdict, name):
    """0 is the caller; any other process is refused, and bits above a process id's 32 do not help."""
    assert verdict(name, 0) == ALLOW
    assert verdict(name, 1) == verdict(name, 2**32) == verdict(name, 2**32 + 1) == EPERM


def test_niceness_of_the_caller_alone(verdict):
    """Neither another process, nor a group, nor all of a user's."""
    assert verdict("setpriority", 0, 0, 19) == ALLOW
    assert verdict("setpriority", 0, 1, 19) == verdict("setpriority", 1, 0) == verdict("setpriority", 2, 0) == EPERM


def test_only_local_sockets(verdict):
    """AF_UNIX (1) and no other family: INET, INET6, NETLINK, PACKET, VSOCK."""
    assert verdict("socket", 1, 1) == verdict("socketpair", 1, 1) == ALLOW
    assert [verdict("socket", family) for family in (0, 2, 10, 16, 17, 38, 40, 2**32 + 2)] == [ENETUNREACH] * 8


def test_processes_and_threads_but_no_namespaces(verdict):
    """Fork and pthread_create pass, each CLONE_NEW* flag does not, and clone3 sends libc back to clone."""
    fork, thread = 0x1200011, 0x3D0F00
    assert verdict("clone", fork) == verdict("clone", thread) == ALLOW
    flags = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
    assert [verdict("clone", fork | flag) for flag in flags] == [EPERM] * 8
    assert verdict("clone3") == ENOSYS


def test_words_into_a_terminal(verdict):
    """TIOCSTI and TIOCLINUX are refused, other requests pass."""
    assert verdict("ioctl", 0, 0x5412) == verdict("ioctl", 0, 0x541C) == verdict("ioctl", 0, 2**32 + 0x5412) == EPERM
    assert verdict("ioctl", 0, 0x5401) == ALLOW


def test_another_machines_system_calls_end_the_process():
    """32-bit system calls are numbered otherwise: no process gets past the filter with them."""
    assert decide(seccomp.program("x86_64"), 0x40000003, 26) == KILL  # i386's ptrace
    assert decide(seccomp.program("x86_64"), MACHINES["x86_64"][0], 0x40000000 | 101) == KILL  # x32


def test_another_machine_is_refused():
    """No filter is no sandbox."""
    with pytest.raises(KitError, match="riscv64"):
        seccomp.program("riscv64")


def test_without_the_library_it_says_what_to_install(monkeypatch):
    """Neither the package nor libseccomp is taken for granted."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    seccomp.program.cache_clear()
    with pytest.raises(KitError, match=r"requirements\.lock"):
        seccomp.program()


def test_without_libseccomp_it_names_the_systems_package(monkeypatch, tmp_path):
    """The Python package is there and finds no libseccomp: what it raises then is not what a person reads."""
    (tmp_path / "pyseccomp.py").write_text("raise RuntimeError('Unable to find libseccomp')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pyseccomp")
    seccomp.program.cache_clear()
    with pytest.raises(KitError, match="apt install libseccomp2"):
        seccomp.program()


@pytest.fixture(scope="module")
def box(sandbox_once):
    """One sandbox for the tests below."""
    made = Sandbox()
    yield made
    made.close()


def test_the_kernel_keeps_to_it(box):
    """Every system call on the list fails with EPERM in a student's process, whatever its arguments."""
    numbers = [pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in seccomp.refused()]
    known = [number for number in numbers if number >= 0]
    source = (
        "import ctypes\ndef f(numbers):\n    libc = ctypes.CDLL(None, use_errno=True)\n    said = []\n"
        "    for number in numbers:\n        ctypes.set_errno(0)\n"
        "        said.append([libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno()])\n    return said"
    )
    assert len(known) > 50
    assert box.run(source, known) == [[-1, errno.EPERM]] * len(known)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="i386 calls exist on x86_64 alone")
def test_32_bit_calls_end_the_process(box):
    """`int 0x80` from mapped code is the end of that process, by SIGSYS."""
    source = (
        "import ctypes, mmap, os\ndef f():\n    code = mmap.mmap(-1, 4096, prot=7)\n"
        "    code.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n    pid = os.fork()\n    if pid == 0:\n"
        "        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()\n"
        "        os._exit(0)\n    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
    )
    assert box.run(source) == -31
