"""`requirements.lock` on every Python that the kit is for: which lines apply there, and whether they fit together.

By hand, after a change of the lock or of the Pythons; the registry is asked what each release needs, and whether it
has a wheel for that Python (a minute for each; nothing is installed, none of these Pythons need be here):

    python data_scripts/check_lock.py [3.14 ...]

A test does the same without a network, with the releases that are installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PATCHES = range(31)  # 3.11.0 to 3.11.30: some lines, and some releases, are for a part of them
Locked = dict[str, str]


@dataclass(frozen=True)
class Release:
    """What one version of a package says of itself.

    Attributes:
        python: Its Requires-Python.
        requires: Its Requires-Dist lines.
    """

    python: str
    requires: tuple[str, ...]


def project() -> dict:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def requirement(text: str) -> Requirement:
    """A requirement that is read once and asked often."""
    return Requirement(text)


def pythons() -> list[str]:
    """The Pythons that the classifiers name, such as "3.11"."""
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", entry) for entry in classifiers()]
    return [match[1] for match in found if match]


def classifiers() -> list[str]:
    """The classifiers of pyproject.toml."""
    return list(project()["project"]["classifiers"])


def versions_of(python: str) -> list[str]:
    """The patch levels of a Python that requires-python allows, such as "3.11.7"."""
    allowed = SpecifierSet(project()["project"]["requires-python"])
    return [f"{python}.{patch}" for patch in PATCHES if f"{python}.{patch}" in allowed]


def roots() -> list[Requirement]:
    """What the kit itself asks for: to run, to be worked on, for notebooks that import more, to be built."""
    table = project()
    extras = table["project"]["optional-dependencies"]
    asked = [*table["project"]["dependencies"], *extras["dev"], *extras["colab"]]
    return [requirement(text) for text in [*asked, *table["build-system"]["requires"]]]


def lines() -> list[Requirement]:
    """The lines of requirements.lock."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return [requirement(line.split(" #")[0]) for line in text.splitlines() if line and not line.startswith("#")]


def environment(version: str, machine: str = "x86_64") -> dict[str, str]:
    """What the markers of a requirement see: CPython of that version on Linux."""
    return {
        "implementation_name": "cpython",
        "implementation_version": version,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": "linux",
        "extra": "",
    }


def locked(on: Mapping[str, str]) -> tuple[Locked, list[str]]:
    """Name and version of each line that applies in an environment, and a sentence for each name with two of them."""
    versions: Locked = {}
    wrong = []
    for line in lines():
        if line.marker is not None and not line.marker.evaluate(dict(on)):
            continue
        name, (pin,) = canonicalize_name(line.name), line.specifier
        if name in versions:
            wrong.append(f"two lines of {name} apply")
        versions[name] = pin.version
    return versions, wrong


def misfits(versions: Locked, releases: Mapping[str, Release], on: Mapping[str, str]) -> list[str]:
    """What keeps the locked versions from being installed together: a sentence for each thing that is wrong.

    Args:
        versions: Name and version of each package, as `locked` gives them.
        releases: What those versions say of themselves. One that is missing here is taken to need nothing.
        on: The environment.
    """
    wrong = []
    asked: dict[str, set[str]] = {}  # name -> extras
    waiting = [(need, "pyproject.toml") for need in roots() if _applies(need, on, {""})]
    while waiting:
        need, by = waiting.pop()
        name = canonicalize_name(need.name)
        if name not in versions:
            wrong.append(f"{by} needs {need.name}, which has no line")
            continue
        if not need.specifier.contains(versions[name], prereleases=True):
            wrong.append(f"{by} needs {need.name}{need.specifier}, the line says {versions[name]}")
        extras = {"", *need.extras}
        if extras <= asked.get(name, set()):
            continue
        asked[name] = asked.get(name, set()) | extras
        own = [requirement(text) for text in releases[name].requires] if name in releases else []
        waiting += [(each, f"{name} {versions[name]}") for each in own if _applies(each, on, asked[name])]
    python = on["python_full_version"]
    for name in asked:
        if name in releases and python not in SpecifierSet(releases[name].python):
            wrong.append(f"{name} {versions[name]} is for Python {releases[name].python}")
    if releases.keys() >= versions.keys():
        wrong += [f"nothing needs {name}" for name in versions.keys() - asked.keys()]
    return sorted(set(wrong))


def _applies(need: Requirement, on: Mapping[str, str], extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({**on, "extra": extra}) for extra in extras)


def ask(versions: Locked, python: str) -> tuple[dict[str, Release], str]:
    """What the registry has of these versions for a Python, by name, and what pip says where it lacks one."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder, "wanted.txt"), Path(folder, "report.json")
        # Without markers: pip would answer those by the Python that it runs on.
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps"]
        # Whether they are for that Python, `misfits` tells: pip would ask whether they are for its own.
        where = ["--only-binary=:all:", "--python-version", python, "--ignore-requires-python", "--target", folder]
        command = [*pip, *where, "--report", str(report), "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            return {}, said[-1] if said else done.stderr.strip()
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    about = [entry["metadata"] for entry in found]
    return {
        canonicalize_name(each["name"]): Release(each.get("requires_python", ""), tuple(each.get("requires_dist", ())))
        for each in about
    }, ""


def check(python: str) -> list[str]:
    """Ask the registry about the lock on one Python; a sentence for each thing that is wrong."""
    wrong: dict[str, list[str]] = {}  # sentence -> patch levels where it holds
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}  # the lines that apply -> patch levels
    for version in versions_of(python):
        versions, twice = locked(environment(version))
        _note(wrong, twice, version)
        groups.setdefault(tuple(versions.items()), []).append(version)
    for pairs, patches in groups.items():
        versions = dict(pairs)
        releases, said = ask(versions, python)
        for version in patches:
            _note(wrong, [said] if said else misfits(versions, releases, environment(version)), version)
        print(f"Python {patches[0]} to {patches[-1]}: asked about {len(versions)} lines.", flush=True)
    return [f"Python {patches[0]} to {patches[-1]}: {sentence}." for sentence, patches in wrong.items()]


def _note(wrong: dict[str, list[str]], sentences: list[str], version: str) -> None:
    for sentence in sentences:
        wrong.setdefault(sentence, []).append(version)


def main(arguments: Sequence[str]) -> int:
    """Check the Pythons given, or all of them; 1 if a line has to change."""
    unknown = set(arguments) - set(pythons())
    if unknown:
        print(f"pyproject.toml names no Python {', '.join(sorted(unknown))}, only {', '.join(pythons())}.")
        return 2
    wrong = [sentence for python in arguments or pythons() for sentence in check(python)]
    for sentence in wrong:
        print(sentence)
    print(f"requirements.lock: {len(wrong)} faults." if wrong else "requirements.lock resolves on each of them.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
