"""Landlock: what is allowed can be opened, what is not cannot, in this process and in those it starts, for ever."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from autograder.sandbox.inside import confine, landlock

pytestmark = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
SYSTEM = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev", sys.prefix, sys.base_prefix]


def confined(readable, writable, act):
    """What `act` returns in a forked child that is bound to these rules."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            confine.no_new_privileges()
            landlock.restrict(landlock.make_rules(readable, writable))
            os.write(write, json.dumps(act()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(said)


def tried(action, *arguments):
    """What came of it: the name of an error, or ok."""
    try:
        action(*arguments)
    except OSError as error:
        return type(error).__name__
    return "ok"


@pytest.fixture
def folders(tmp_path):
    """A folder to read, one to write and one that is secret, a file in each; and a link from one into the other."""
    for name in ("read", "write", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "write" / "link").symlink_to(tmp_path / "secret" / "file")
    return tmp_path


def test_reading(folders):
    """Only below what is allowed, whatever the modes say and however it is reached."""
    paths = ["read/file", "write/file", "secret/file", "write/link", "read/../secret/file"]
    said = confined(
        [folders / "read"], [folders / "write"], lambda: [tried((folders / path).read_text) for path in paths]
    )
    assert said == ["ok", "ok", "PermissionError", "PermissionError", "PermissionError"]


def test_writing(folders):
    """What may be read may not be written, nor made, removed or moved; what may be written may."""

    def act():
        actions = [
            *((tried((folders / name / "file").write_text, "y")) for name in ("read", "write", "secret")),
            *((tried((folders / name / "new").mkdir)) for name in ("read", "write", "secret")),
            tried((folders / "read" / "file").unlink),
            tried((folders / "write" / "file").rename, folders / "read" / "moved"),
            tried((folders / "write" / "file").unlink),
        ]
        return ["ok" if action == "ok" else "no" for action in actions]

    said = confined([folders / "read"], [folders / "write"], act)
    assert said == ["no", "ok", "no", "no", "ok", "no", "no", "no", "ok"]


def test_listing(folders):
    """Names are secret as well."""
    said = confined(
        [folders / "read"], [], lambda: [tried(os.listdir, folders / name) for name in ("read", "secret", "..")]
    )
    assert said == ["ok", "PermissionError", "PermissionError"]


def test_those_it_starts_are_bound_as_well(folders):
    """A program cannot open what its parent could not."""
    command = ["/bin/cat", str(folders / "secret" / "file")]
    assert confined(SYSTEM, [], lambda: subprocess.run(command, capture_output=True, check=False).returncode) == 1
    assert confined([*SYSTEM, folders], [], lambda: subprocess.run(command, capture_output=True).returncode) == 0


def test_more_rules_never_give_anything_back(folders):
    """A second set that allows everything changes nothing."""

    def act():
        landlock.restrict(landlock.make_rules(["/"], ["/"]))
        return tried((folders / "secret" / "file").read_text)

    assert confined([folders / "read", "/dev"], [], act) == "PermissionError"


def test_a_path_that_does_not_exist_is_skipped(folders):
    """As with /lib32 on most machines."""
    said = confined([folders / "none", folders / "read"], [], lambda: tried((folders / "read" / "file").read_text))
    assert said == "ok"


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock knows no scopes")
def test_signals_and_abstract_sockets_stay_inside(folders):
    """No signal reaches a process outside, even of the same user, and no abstract socket."""
    outside = os.getpid()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0fcoskit-test-" + str(outside))
        server.listen()

        def connect():
            with socket.socket(socket.AF_UNIX) as client:
                client.connect("\0fcoskit-test-" + str(outside))

        assert confined([], [], lambda: [tried(os.kill, outside, 0), tried(connect)]) == ["PermissionError"] * 2
        assert tried(os.kill, outside, signal.SIGCONT) == "ok"
