"""Tests that need a Python which every user may run: where this one lies below a closed home, in a private root.

The sandbox's user cannot pass through `/root`, so no test of the uid kind could run with a Python below it. Such tests
are marked `open_python`. A second pytest then runs all of them that were asked for, one run for each file, in a private
root: this Python and its packages lie below `/opt` in there, the kit at its own place with open folders above it; none
of them can be written. It reports test by test through a pipe, and each of the first pytest's tests tells what came of
it there. Nothing of the machine is changed or mounted. The second pytest ends with the first one, however that ends.

Where this Python is open to every user, and where no private root can be made, the tests run as any others.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from autograder.runtime.errors import KitError
from autograder.sandbox import uid
from tests.support.private_root import PrivateRoot, why_not

ROOT = Path(__file__).resolve().parents[2]
MARK = "open_python"
_REPORTS = "FCOSKIT_TEST_REPORTS"  # in the second pytest: the descriptor that it reports to
_PLACE = "/opt/open"
_NOT_TOLD = ("FCOSKIT_SANDBOX_UID",)  # only the usual users are there


class SecondPytest:
    """A pytest in a private root, begun when its first test is asked for.

    Args:
        tests: Node ids of what it runs.
        options: More arguments for it.
        folder: Becomes `/autograder`; an empty one if left out.
    """

    def __init__(self, tests: list[str], options: tuple[str, ...] = (), folder: Path | None = None) -> None:
        self._tests, self._options, self._folder = tests, options, folder
        self._held = contextlib.ExitStack()
        self._reports: IO[str] | None = None
        self._output: IO[bytes] | None = None
        self._phases: dict[str, list[dict[str, Any]]] = {}

    def phases(self, test: str) -> list[dict[str, Any]]:
        """What it reports of a test: of set-up, call and tear-down, as far as they were run.

        Raises:
            EndedEarly: It ended before that test did; with the end of what it printed.
        """
        if self._reports is None:
            self._begin()
        while not any(phase["when"] == "teardown" for phase in self._phases.get(test, [])):
            assert self._reports is not None and self._output is not None
            line = self._reports.readline()
            if not line.endswith("\n"):
                self._output.seek(0)
                said = self._output.read().decode(errors="replace")[-3000:]
                raise EndedEarly(f"The pytest in the private root ended before the end of {test}:\n{said}")
            phase = json.loads(line)
            self._phases.setdefault(phase["test"], []).append(phase)
        return self._phases[test]

    def close(self) -> None:
        """End it, if it was begun."""
        self._held.close()

    def _begin(self) -> None:
        folder = self._folder or Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="fcoskit-root-")))
        self._output = self._held.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
        ours, theirs = os.pipe()
        self._reports = self._held.enter_context(os.fdopen(ours, encoding="utf-8"))
        told = {name: value for name, value in os.environ.items() if name.startswith("FCOSKIT_")}
        variables = {name: value for name, value in told.items() if name not in _NOT_TOLD}
        variables |= {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", _REPORTS: str(theirs)}
        settings = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="fcoskit-root-")))
        python, extra = _python(settings)
        extra += [*_open_above(str(ROOT)), "--ro-bind", str(ROOT), str(ROOT), "--chdir", str(ROOT)]
        started = PrivateRoot(folder).running(
            *(python, "-m", "pytest", "-p", __name__, "-p", "no:cacheprovider", "--color=no"),
            *self._options,
            *self._tests,
            out=self._output,
            err=self._output,
            variables=variables,
            extra=tuple(extra),
            inherited=(theirs,),
        )
        try:
            self._held.enter_context(started)
        finally:
            os.close(theirs)


class EndedEarly(Exception):
    """The second pytest ended before a test did."""


class FailedThere(Exception):
    """A test failed in the second pytest; holds what that one says of it."""


class Told(pytest.Item):
    """Stands for a test that the second pytest runs: passes, fails and skips as that one does."""

    def __init__(self, *, original: pytest.Item, second: SecondPytest, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._original, self._second = original, second
        self.own_markers.extend(original.own_markers)
        self.keywords.update(dict(original.keywords))

    def runtest(self) -> None:
        """Wait for what comes of it."""
        phases = self._second.phases(self.nodeid)
        for title, content in phases[-1]["sections"]:  # pytest repeats those of earlier phases
            self.add_report_section("call", f"in the private root: {title}", content)
        if failed := [phase for phase in phases if phase["outcome"] == "failed"]:
            raise FailedThere("\n".join(f"{phase['when']}, in a private root:\n{phase['text']}" for phase in failed))
        for phase in phases:
            if phase["outcome"] == "skipped":
                pytest.skip(phase["text"])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """The second pytest's own words, without the way they came."""
        if isinstance(excinfo.value, FailedThere | EndedEarly):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **kwargs)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where the test stands."""
        return self._original.reportinfo()


@functools.cache
def python_is_closed() -> bool:
    """Whether root could have a user for the sandbox here, but one that cannot run this Python."""
    try:
        uid.check_possible()
        command = [sys.executable, "-I", "-S", "-c", ""]
        user = uid.FIRST_UID
        done = subprocess.run(command, user=user, group=user, extra_groups=[], cwd="/", check=False)
    except KitError:
        return False
    except PermissionError:
        return True
    return done.returncode != 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put those that stand for them in the place of the marked tests that are left, where that is needed."""
    marked = [item for item in items if item.get_closest_marker(MARK)]
    if not marked or _REPORTS in os.environ or config.option.collectonly or not python_is_closed() or why_not():
        return
    second: dict[Path, SecondPytest] = {}
    for file in dict.fromkeys(item.path for item in marked):
        second[file] = SecondPytest([item.nodeid for item in marked if item.path == file], ("--rootdir", str(ROOT)))
        config.add_cleanup(second[file].close)
    for number, item in enumerate(items):
        if item.get_closest_marker(MARK):
            items[number] = Told.from_parent(item.parent, name=item.name, original=item, second=second[item.path])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the second pytest: tell the first one."""
    if _REPORTS in os.environ:
        skipped = report.outcome == "skipped" and isinstance(report.longrepr, tuple)
        text = report.longrepr[2].removeprefix("Skipped: ") if skipped else report.longreprtext
        told = {"test": report.nodeid, "when": report.when, "outcome": report.outcome, "text": text}
        line = json.dumps(told | {"sections": report.sections}) + "\n"
        with open(int(os.environ[_REPORTS]), "w", encoding="utf-8", closefd=False) as pipe:
            pipe.write(line)


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark; in the second pytest, keep the pipe from the processes that tests start."""
    config.addinivalue_line("markers", f"{MARK}: needs a Python that every user may run, see {__name__}")
    if _REPORTS in os.environ:
        os.set_inheritable(int(os.environ[_REPORTS]), False)


def _python(folder: Path) -> tuple[str, list[str]]:
    """Where this Python is in there, and bubblewrap's arguments for it: below /opt, so that no path tells of a home.

    Args:
        folder: For a file of ours, the settings of the virtual environment.
    """
    base, program, args = Path(os.path.realpath(sys.base_prefix)), Path(os.path.realpath(sys.executable)), []
    if not base.is_relative_to("/usr"):
        args += [*_open_above(f"{_PLACE}/python"), "--ro-bind", str(base), f"{_PLACE}/python"]
        program = Path(_PLACE, "python", program.relative_to(base))
    if sys.prefix == sys.base_prefix:
        return str(program), args
    venv, settings = f"{_PLACE}/venv", folder / "pyvenv.cfg"
    ours = Path(sys.prefix, "pyvenv.cfg").read_text(encoding="utf-8")
    settings.write_text(re.sub(r"(?m)^home *=.*$", f"home = {program.parent}", ours), encoding="utf-8")
    settings.chmod(0o644)
    args += [*_open_above(f"{venv}/bin/python"), "--symlink", str(program), f"{venv}/bin/python"]
    args += ["--ro-bind", str(settings), f"{venv}/pyvenv.cfg", "--symlink", "lib", f"{venv}/lib64"]
    return f"{venv}/bin/python", [*args, "--ro-bind", f"{sys.prefix}/lib", f"{venv}/lib"]


def _open_above(place: str) -> Iterator[str]:
    """Folders above a place that everybody may pass through."""
    for folder in [*reversed(Path(place).parents)][1:]:
        yield from ("--perms", "0755", "--dir", str(folder))
