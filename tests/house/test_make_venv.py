"""`data_scripts/make_venv.sh`: which Python `make` takes, and what it says where none is fit.

The Pythons are shell scripts that answer what the script asks, on a PATH that has nothing else but a few tools.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from tests.conftest import ROOT
from tests.house.test_project import project

SCRIPT = ROOT / "data_scripts" / "make_venv.sh"
SH = shutil.which("sh") or "/bin/sh"
FAKE = """#!/bin/sh
case "$1 $2" in
    -c*) echo "warning: this Python is slow" >&2; echo "is {facts}" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") test -n "{pip}" || test -e "$0.pip" ;;
    "-m ensurepip") touch "$0.pip" ;;
esac
"""
SHIM = """#!/bin/sh
echo "pyenv: ${0##*/}: command not found" >&2
echo "The command exists in these Python versions: 3.13.0" >&2
exit 127
"""


@pytest.fixture
def place(tmp_path) -> Path:
    """A folder with a folder `bin` of the tools that the script and the stand-ins use."""
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "sed", "head", "mkdir", "cp", "touch", "make"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.fail(f"this machine has no {tool}"))
    return tmp_path


def program(path: Path, text: str) -> Path:
    """A program at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def fake(path: Path, version: str, rest: str = "cpython 64 gil glibc none", pip: str = "yes") -> Path:
    """A Python that says it is of that version, and makes copies of itself for virtual environments."""
    return program(path, FAKE.format(facts=f"{version.replace('.', ' ')} {rest}", pip=pip))


def run(place: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """The script, to make `place/venv`."""
    command = [SH, str(SCRIPT), str(place / "venv"), *arguments]
    variables = {"PATH": path or str(place / "bin")}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


def made(place: Path) -> str:
    """What the Python of the environment says it is, empty if there is none."""
    python = place / "venv" / "bin" / "python"
    if not python.exists():
        return ""
    done = subprocess.run([python, "-c", ""], capture_output=True, text=True, check=True)
    return ".".join(done.stdout.split()[1:4])


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3.11": "3.11.7", "python3.13": "3.13.2", "python3.14": "3.14.4", "python3": "3.12.1"}, "3.13.2"),
        ({"python3.11": "3.11.7", "python3.12": "3.12.3", "python3.14": "3.14.4"}, "3.14.4"),
        ({"python3.11": "3.11.7", "python3.12": "3.12.3", "python3": "3.14.4"}, "3.12.3"),
        ({"python3.11": "3.11.7", "python3": "3.9.2", "python3.15": "3.15.0"}, "3.11.7"),
        ({"python3": "3.14.0"}, "3.14.0"),
        ({"python3.14": "3.14.1", "python3.12": "3.12.0"}, "3.12.0"),
    ],
)
def test_the_best_python_on_path_is_taken(place, there, taken):
    """The recommended one first, then the newest; `python3` if no other name leads to a fit one."""
    for name, version in there.items():
        fake(place / "bin" / name, version)
    done = run(place)
    assert (done.returncode, done.stderr, made(place)) == (0, "", taken)
    assert done.stdout.startswith(f"Making {place / 'venv'} with {place / 'bin'}/python3")


@pytest.mark.parametrize(
    "version", [f"3.{minor}.{patch}" for minor in range(8, 17) for patch in (0, 1, 2)] + ["2.7.18"]
)
def test_the_script_and_the_project_allow_the_same_pythons(place, version):
    """What requires-python of pyproject.toml allows makes an environment, and nothing else does."""
    fake(place / "bin" / "python3", version)
    fits = version in SpecifierSet(project()["project"]["requires-python"])
    assert (run(place).returncode == 0, made(place)) == (fits, version if fits else "")


def test_a_name_that_does_not_run_is_passed_over(place):
    """A shim of pyenv for a version that is not active fails; the same name further on, or another, counts."""
    program(place / "shims" / "python3.13", SHIM)
    fake(place / "bin" / "python3.12", "3.12.4")
    both = f"{place / 'shims'}::{place / 'bin'}"
    assert run(place, path=both).returncode == 0 and made(place) == "3.12.4"
    shutil.rmtree(place / "venv")
    fake(place / "bin" / "python3.13", "3.13.5")
    assert run(place, path=both).returncode == 0 and made(place) == "3.13.5"


@pytest.mark.parametrize(
    ("there", "kept", "taken"),
    [
        ({"python3.11": "3.11.7"}, {"3.13": "3.13.0", "3.12": "3.12.1"}, "3.13.0"),
        ({"python3.11": "3.11.7"}, {"3.12": "3.12.1", "3.10": "3.10.13"}, "3.12.1"),
        ({"python3.13": "3.13.5"}, {"3.13": "3.13.0"}, "3.13.5"),
        ({"python3.12": "3.12.4"}, {"3.14": "3.14.1"}, "3.12.4"),
        ({"python3.11": "3.11.7"}, {"3.9": "3.9.18"}, "3.11.7"),
        ({"python3": "3.12.4"}, {}, "3.12.4"),
    ],
)
def test_a_version_that_pyenv_keeps_need_not_be_active(place, there, kept, taken):
    """It counts behind those of its name on PATH; one that is not fit, or gone from its folder, does not count."""
    program(place / "shims" / "python3.13", SHIM)
    prefixes = "".join(f'[ "$*" = "prefix {name}" ] && echo "{place}/versions/{name}" && exit 0\n' for name in kept)
    program(place / "bin" / "pyenv", f"#!/bin/sh\n{prefixes}echo 'pyenv: not installed' >&2\nexit 1\n")
    for name, version in kept.items():
        fake(place / "versions" / name / "bin" / f"python{name}", version)
    for name, version in there.items():
        fake(place / "bin" / name, version)
    done = run(place, path=f"{place / 'shims'}:{place / 'bin'}")
    assert (done.returncode, done.stderr, made(place)) == (0, "", taken)
    shutil.rmtree(place / "venv")
    shutil.rmtree(place / "versions", ignore_errors=True)
    assert run(place, path=f"{place / 'shims'}:{place / 'bin'}").returncode == 0
    assert made(place) == max(there.values())


def test_without_a_fit_python_it_says_what_it_saw_and_what_to_type(place):
    """Each Python that was tried has a line with the reason, and two ways to get one follow; nothing is made."""
    program(place / "bin" / "python3.13", SHIM)
    fake(place / "bin" / "python3", "3.9.2")
    done = run(place, "", "test")
    assert (done.returncode, done.stdout) == (1, "") and not (place / "venv").exists()
    assert done.stderr.splitlines() == [
        "fcoskit needs Python 3.11 to 3.14, best 3.13, and there is none on PATH that is fit:",
        f"  {place}/bin/python3.13 does not run: pyenv: python3.13: command not found",
        f"  {place}/bin/python3 is Python 3.9",
        "Two ways to get Python 3.13, without root:",
        f"  uv venv --python 3.13 {place}/venv && make test",
        '  pyenv install 3.13 && make PYTHON="$(pyenv prefix 3.13)/bin/python" test',
    ]


def test_without_any_python_it_says_so(place):
    """An empty PATH is no reason to be silent."""
    done = run(place)
    assert done.returncode == 1 and done.stderr.startswith(
        "fcoskit needs Python 3.11 to 3.14, best 3.13, and there is none on PATH.\nTwo ways"
    )


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        ("import sysconfig as s; s.get_config_var = {'Py_GIL_DISABLED': 1}.get", "is a free-threaded build"),
        ("import sysconfig as s; s.get_config_var = {'SOABI': 'cpython-313-x86_64-linux-musl'}.get", "built with musl"),
        (
            "import ctypes, struct; struct.calcsize = lambda code: 4",
            "is a 32-bit build, and PyTorch has 64-bit ones alone",
        ),
        ("import sys; sys.implementation.name = 'pypy'", "is pypy, and PyTorch is for CPython"),
        ("import sys; sys.version_info = (3, 15, 0)", "is Python 3.15"),
        ("import sys; sys.version_info = (3, 14, 1)", "is Python 3.14.1, which torchvision refuses: 3.14.2 is fine"),
        ("import sys; sys.modules['ensurepip'] = None", "and Ubuntu: apt install python3."),
        ("import sys; sys.modules['sqlite3'] = sys.modules['lzma'] = None", "was built without sqlite3,lzma. Install"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_what_pytorch_or_the_kit_cannot_use_is_told(place, lie, why, named):
    """A real Python, which is told to be of another kind: why it is not fit is a sentence, whether found or named."""
    ask = f"{lie}; import sys; code = sys.argv[1]; sys.argv[:] = ['-c', *sys.argv[2:]]; exec(code)"
    text = f'#!/bin/sh\nshift\nexec {shlex.quote(sys.executable)} -c {shlex.quote(ask)} "$@"\n'
    python = program(place / "bin" / "python3", text)
    done = run(place, *[str(python)] * named)
    assert done.returncode == 1 and not (place / "venv").exists()
    assert f"{python} " in done.stderr and why in done.stderr and "uv venv --python 3.13" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_python_that_is_named_is_the_one(place):
    """PYTHON comes before every other; one that is not fit is not replaced by another."""
    fake(place / "bin" / "python3.13", "3.13.2")
    fake(place / "bin" / "python3.12", "3.12.3")
    fake(place / "bin" / "python3.10", "3.10.3")
    refused = {name: run(place, name, "demo") for name in ("python3.10", "python3.99")}
    assert [done.returncode for done in refused.values()] == [1, 1] and not (place / "venv").exists()
    assert refused["python3.10"].stderr.startswith("python3.10 is Python 3.10. fcoskit needs Python 3.11 to 3.14")
    assert refused["python3.99"].stderr.startswith("python3.99 is not there. fcoskit needs Python 3.11 to 3.14")
    assert run(place, "python3.12").returncode == 0 and made(place) == "3.12.3"


def test_an_environment_that_is_there_stays(place):
    """Nothing in it changes, whatever Python is best or named; who named one is told."""
    fake(place / "bin" / "python3.11", "3.11.7")
    assert run(place).returncode == 0
    fake(place / "bin" / "python3.13", "3.13.2")
    assert (run(place).stdout, made(place)) == ("", "3.11.7")
    assert "stays as it is" in run(place, "python3.13").stdout and made(place) == "3.11.7"


@pytest.mark.parametrize("gone", [False, True])
def test_an_environment_of_no_use_is_told(place, gone):
    """Its Python is too old, or was removed from the machine: the sentence says to remove the folder."""
    python = fake(place / "venv" / "bin" / "python", "3.10.3") if not gone else place / "venv" / "bin" / "python"
    if gone:
        python.parent.mkdir(parents=True)
        python.symlink_to(place / "gone")
    fake(place / "bin" / "python3.13", "3.13.2")
    done = run(place, "", "test")
    why = "is not there" if gone else "is Python 3.10"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == (
        f"{python} {why}. fcoskit needs Python 3.11 to 3.14: remove {place / 'venv'}, then make test again."
    )


def test_an_environment_without_pip_gets_it(place):
    """`uv venv` makes them so."""
    fake(place / "bin" / "python3.13", "3.13.2", pip="")
    assert run(place).returncode == 0 and (place / "venv" / "bin" / "python.pip").exists()


def test_the_environment_of_these_tests_is_fit(place):
    """The questions are answered by a real Python as well, with nothing to say about it."""
    command = [SH, str(SCRIPT), sys.prefix]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_make_uses_it(place):
    """`make` installs with the Python that the script takes or is given, and stops where there is none."""
    fake(place / "bin" / "python3.13", "3.13.2")
    fake(place / "bin" / "python3.12", "3.12.3")
    stamp = place / "venv" / ".installed"

    def make(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(place / "bin" / "make"), f"VENV={place / 'venv'}", *arguments, str(stamp)]
        variables = {"PATH": str(place / "bin")}
        return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=60)

    refused = make("PYTHON=python3.10")
    assert refused.returncode == 2 and "python3.10 is not there" in refused.stderr and not stamp.parent.exists()
    assert make("PYTHON=python3.12").returncode == 0 and stamp.exists() and made(place) == "3.12.3"
    shutil.rmtree(place / "venv")
    assert make().returncode == 0 and stamp.exists() and made(place) == "3.13.2"
