"""The table of runtimes, how an environment is made and kept, and that the students' wheel fits all of them."""

from __future__ import annotations

import os
import sys
import tomllib
import zipfile
from dataclasses import replace
from email.parser import Parser
from pathlib import Path

import nbformat
import pytest
import vermin
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from autograder.course.assignment import load_assignment
from tests.conftest import ROOT
from tests.support import runtimes
from tests.support.runtimes import NotReady, Runtime, chosen, find_python, load_runtimes, make, ready
from tests.support.students_machine import make_release

NAMES = {runtime.name: runtime for runtime in load_runtimes()}
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def pins(runtime: Runtime) -> dict[str, str]:
    """Its packages with their versions."""
    return dict(package.lower().split("==") for package in runtime.packages)


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory) -> Path:
    """The students' wheel as the source gives it now."""
    (wheel,) = make_release(load_assignment("ps7", ROOT), tmp_path_factory.mktemp("release")).glob("*.whl")
    return wheel


@pytest.fixture(name="metadata", scope="module")
def _metadata(wheel) -> object:
    """What it says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_make_test_has_colab_and_our_lock():
    """Those two are always run; every other one is there by its file alone."""
    assert {runtime.name for runtime in NAMES.values() if runtime.always} == {"colab", "lock"}
    assert set(NAMES) == {path.stem for path in (ROOT / "tests" / "runtimes").iterdir()}


def test_the_lower_bounds_are_those_of_the_oldest_runtime(metadata):
    """What the wheel asks for at least is, to the last figure, what the notebook is run with in `oldest`."""
    oldest = pins(NAMES["oldest"])
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    assert {r.name: str(r.specifier) for r in requirements} == {r.name: f">={oldest[r.name]}" for r in requirements}
    assert metadata["Requires-Python"] == f">={NAMES['oldest'].python[0]}"


def test_students_are_asked_for_none_of_what_is_only_for_grading(metadata):
    """The packages of the extra `colab` are there for what students import themselves: their wheel wants none."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = {Requirement(text).name for text in table["project"]["optional-dependencies"]["colab"]}
    asked = {Requirement(text).name for text in metadata.get_all("Requires-Dist")}
    assert len(extra) > 20 and extra & asked == set()


@pytest.mark.parametrize("runtime", NAMES.values(), ids=NAMES)
def test_the_wheel_fits_each_runtime(metadata, runtime):
    """Nothing is fetched where a runtime has it already, and its Python is one that the wheel names."""
    versions = pins(runtime)
    for requirement in map(Requirement, metadata.get_all("Requires-Dist")):
        assert runtime.is_ours or versions[requirement.name] in requirement.specifier
    for python in runtime.python:
        assert python in SpecifierSet(metadata["Requires-Python"])
        assert f"Programming Language :: Python :: {python}" in metadata.get_all("Classifier")


def test_all_that_ships_is_of_the_oldest_python(wheel, metadata):
    """Neither the wheel nor the notebook uses syntax or a name of the standard library that Python 3.10 lacks."""
    with zipfile.ZipFile(wheel) as archive:
        sources = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
    notebook = nbformat.read(ROOT / "release" / "ps7" / "fcos.ipynb", as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    sources |= {f"cell {number}": source for number, source in enumerate(code)}
    assert len(sources) > 60
    oldest = tuple(map(int, metadata["Requires-Python"].removeprefix(">=").split(".")))
    newer = {}
    for name, source in sources.items():
        _, least = vermin.visit(source).minimum_versions()
        if least is not None and least > oldest:
            newer[name] = least
    assert newer == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('about = "x"\npython = ["3.13"]\npackages = ["torch>=2"]\n', "asks for torch>=2"),
        ('about = "x"\npython = ["3.13"]\n', "is no runtime .*packages"),
        ('about = "x"\npython = []\npackages = []\ncolour = 3\n', "is no runtime .*colour"),
        ("about =", "is no runtime"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, text, said):
    """A version that is not exact, a key too few or too many: the error has the file's name."""
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"mine\.toml .*({said})"):
        load_runtimes(tmp_path)


def test_which_are_chosen():
    """Unasked the usual ones; else those named, or all; an unknown name is refused with those there are."""
    every = list(NAMES.values())
    assert chosen(every, None) == chosen(every, "") == [NAMES["colab"], NAMES["lock"]]
    assert chosen(every, "all") == every
    assert chosen(every, "laptop, lock") == [NAMES["lock"], NAMES["laptop"]]
    with pytest.raises(ValueError, match=r"names colap\. There are: all, colab,"):
        chosen(every, "colap")


def fake_python(path: Path, version: str) -> Path:
    """An interpreter that says that it is of a version; "" is a shim that does not run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\nexit 127\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_python_is_found(tmp_path, monkeypatch):
    """On PATH first, else the newest that pyenv keeps, also behind a shim that does not run; else none."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert find_python(("9.1",)) is None
    for patch in ("9", "10", "11rc1"):
        fake_python(tmp_path / "pyenv" / "versions" / f"9.1.{patch}" / "bin" / "python9.1", "9.1")
    newest = tmp_path / "pyenv" / "versions" / "9.1.10" / "bin" / "python9.1"
    fake_python(tmp_path / "bin" / "python9.1", "")
    assert find_python(("9.1",)) == find_python(("9.2", "9.1")) == newest
    assert find_python(("9.1",)) == newest
    on_path = fake_python(tmp_path / "bin" / "python9.1", "9.1")
    assert find_python(("9.1",)) == on_path
    fake_python(newest, "3.1")  # says that it is another
    fake_python(on_path, "")
    assert find_python(("9.1",)).parts[-3] == "9.1.9"


@pytest.mark.slow
def test_an_environment_is_made_once(tmp_path):
    """It is made where it is missing or half there, and kept until one of other versions is there in its place."""
    runtime, said = Runtime("mine", "x", (HERE,), ()), []
    if find_python((HERE,)) is None:
        pytest.skip(f"no python{HERE} on PATH or of pyenv")
    with pytest.raises(NotReady, match=r"FCOSKIT_RUNTIMES=mine make runtimes"):
        ready(runtime, tmp_path)
    python = make(runtime, said.append, tmp_path)
    assert python.exists() and make(runtime, said.append, tmp_path) == ready(runtime, tmp_path) == python
    assert len(said) == 1 and "mine" in said[0]

    (python.parents[1] / runtimes.FINISHED).unlink()
    (python.parents[1] / "half").touch()
    (tmp_path / "mine-123456789abc").mkdir()  # of other versions
    with pytest.raises(NotReady):
        ready(runtime, tmp_path)
    assert make(runtime, said.append, tmp_path) == python and not (python.parents[1] / "half").exists()
    assert list(tmp_path.glob("mine-*")) == [python.parents[1]]

    no_index = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in no_index.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(NotReady, match=r"could not be made: .*no-such-thing==1.* Is there a network"):
            make(replace(runtime, packages=("no-such-thing==1",)), said.append, tmp_path)
    assert python.exists() and list(tmp_path.glob("mine-*")) == [python.parents[1]]


def test_no_python_is_a_reason():
    """Where this machine lacks the Python, that is said."""
    with pytest.raises(NotReady, match=r"This machine has no python9\.8 or python9\.7"):
        ready(Runtime("mine", "x", ("9.8", "9.7"), ()))


def test_what_is_left_out_is_said(monkeypatch, capsys):
    """`make test` goes on without a runtime that cannot be made; one that was asked for by name is an error then."""

    def refuse(runtime: Runtime, *_: object) -> None:
        raise NotReady("No room.")

    monkeypatch.setattr(runtimes, "make", refuse)
    monkeypatch.setattr(runtimes, "find_python", lambda versions: Path("python"))
    monkeypatch.delenv(runtimes.CHOICE, raising=False)
    assert runtimes.main() == 0 and capsys.readouterr().err == "Runtime colab is left out. No room.\n"
    monkeypatch.setenv(runtimes.CHOICE, "laptop")
    assert runtimes.main() == 1 and "laptop" in capsys.readouterr().err
    monkeypatch.setattr(runtimes, "find_python", lambda versions: None)
    assert runtimes.main() == 0
    monkeypatch.setenv(runtimes.CHOICE, "lap")
    assert runtimes.main() == 2 and "There are: all, colab" in capsys.readouterr().err
