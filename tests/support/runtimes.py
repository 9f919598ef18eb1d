"""The places where the notebook has to work, and a real environment for each: `python -m tests.support.runtimes`.

Each file in `tests/runtimes` is one place:

    about      a sentence
    python     versions, the first that this machine has is taken; [] is the Python and the libraries of the tests
    packages   exact versions; what they need besides is pip's choice
    colab      whether the kernel is one of Colab's (false)
    always     whether `make test` has it, not only `make runtimes` (false)

An environment is kept in `.fcoskit/runtimes/<name>-<digest>` and made once for these versions. It takes a minute, the
package index and some 5 GB. `FCOSKIT_RUNTIMES` names others than the usual ones: "all", or "laptop,oldest".
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "runtimes"
KEPT = ROOT / ".fcoskit" / "runtimes"
CHOICE = "FCOSKIT_RUNTIMES"
FINISHED = ".finished"
_DIGITS = 12  # of a digest, in a folder's name


class NotReady(Exception):
    """There is no environment; the text says why, and what to do."""


@dataclass(frozen=True)
class Runtime:
    """One place; see the top of this file."""

    name: str
    about: str
    python: tuple[str, ...]
    packages: tuple[str, ...]
    colab: bool = False
    always: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it is the environment of the tests themselves."""
        return not self.python


def load_runtimes(folder: Path = TABLE) -> list[Runtime]:
    """Every place, the usual ones first.

    Raises:
        ValueError: A file is not as it should be; names it.
    """
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            table |= {key: tuple(table[key]) for key in ("python", "packages")}
            runtime = Runtime(path.stem, **table)
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no runtime ({error}); tests/support/runtimes.py says what is.") from error
        if loose := [package for package in runtime.packages if "==" not in package]:
            raise ValueError(f"{path} asks for {', '.join(loose)}: name the exact version, as in torch==2.11.0.")
        found.append(runtime)
    return sorted(found, key=lambda runtime: not runtime.always)


def chosen(runtimes: list[Runtime], asked: str | None) -> list[Runtime]:
    """Those that are to be had: the usual ones, all, or those named.

    Args:
        runtimes: To choose from.
        asked: What `FCOSKIT_RUNTIMES` says, if anything.

    Raises:
        ValueError: A name is unknown.
    """
    if not asked:
        return [runtime for runtime in runtimes if runtime.always]
    names = {name.strip() for name in asked.split(",")}
    known = {runtime.name for runtime in runtimes}
    if unknown := names - known - {"all"}:
        raise ValueError(f"{CHOICE} names {', '.join(sorted(unknown))}. There are: all, {', '.join(sorted(known))}.")
    return [runtime for runtime in runtimes if "all" in names or runtime.name in names]


def find_python(versions: tuple[str, ...]) -> Path | None:
    """An interpreter of the first of some versions that this machine has: on PATH, or as pyenv keeps them."""
    for version in versions:
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
        kept = sorted(pyenv.glob(f"{version}.*/bin/python{version}"), key=_patch, reverse=True)
        on_path = shutil.which(f"python{version}")
        for python in [*([Path(on_path)] if on_path else []), *kept]:
            if _asked(python, "import sys; print('%d.%d' % sys.version_info[:2])") == version:
                return python
    return None


def _patch(python: Path) -> tuple[int, ...]:
    """The number behind 3.13 of `3.13.4/bin/python3.13`; one that is none, as of a release candidate, comes last."""
    number = python.parents[1].name.split(".")[2]
    return (1, int(number)) if number.isdecimal() else (0,)


def _asked(python: Path, code: str) -> str:
    """What an interpreter prints; "" where it does not run, as a shim of pyenv's for a version that is not chosen."""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def ready(runtime: Runtime, kept: Path = KEPT) -> Path:
    """The interpreter of a runtime's environment.

    Raises:
        NotReady: This machine has no such Python, or the environment was not made.
    """
    python = _python_of(runtime)
    folder = _folder(runtime, python, kept)
    if not (folder / FINISHED).is_file():
        raise NotReady(
            f"The environment of {runtime.name} is not there: `{CHOICE}={runtime.name} make runtimes` makes it, once "
            "(a minute, some 5 GB, the package index)."
        )
    return folder / "bin" / "python"


def make(runtime: Runtime, say: Callable[[str], None], kept: Path = KEPT) -> Path:
    """The same, made where it is not there or only half; then older ones of its name are removed.

    Raises:
        NotReady: This machine has no such Python, or the installation failed.
    """
    python = _python_of(runtime)
    folder = _folder(runtime, python, kept)
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept / f"{runtime.name}.lock"):
        if not (folder / FINISHED).is_file():
            say(f"Making the environment of {runtime.name} in {folder} ({python}; a minute, once) ...")
            shutil.rmtree(folder, ignore_errors=True)
            try:
                _install(runtime, python, folder)
            except NotReady:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            (folder / FINISHED).touch()
            for other in kept.glob(f"{runtime.name}-{'?' * _DIGITS}"):
                if other != folder:
                    shutil.rmtree(other)
    return folder / "bin" / "python"


def _python_of(runtime: Runtime) -> Path:
    python = find_python(runtime.python)
    if python is None:
        names = " or ".join(f"python{version}" for version in runtime.python)
        raise NotReady(f"This machine has no {names}, neither on PATH nor of pyenv.")
    return python


def _folder(runtime: Runtime, python: Path, kept: Path) -> Path:
    """Where it is kept: another place for each Python and each set of packages."""
    content = json.dumps([_asked(python, "import sys; print(sys.version, sys.prefix)"), sorted(runtime.packages)])
    return kept / f"{runtime.name}-{hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]}"


def _install(runtime: Runtime, python: Path, folder: Path) -> None:
    """Make a virtual environment and install the packages.

    Raises:
        NotReady: That failed; ends with what was said last.
    """
    commands = [[python, "-m", "venv", folder]]
    if runtime.packages:
        commands.append([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *runtime.packages])
    # A machine's own constraints have no say: the versions are given.
    own = {"PIP_CONSTRAINT": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    for command in commands:
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise NotReady(
                f"The environment of {runtime.name} could not be made: {' '.join(said[-2:])} "
                "Is there a network, and room on the disk? Are these versions to be had for this Python?"
            )


def main() -> int:
    """Make the environments that are to be had; 1 if one that was asked for by `FCOSKIT_RUNTIMES` was not made."""
    asked, failed = os.environ.get(CHOICE), False
    try:
        runtimes = [runtime for runtime in chosen(load_runtimes(), asked) if not runtime.is_ours]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for runtime in runtimes:
        try:
            make(runtime, lambda line: print(line, flush=True))
        except NotReady as reason:
            print(f"Runtime {runtime.name} is left out. {reason}", file=sys.stderr)
            failed = failed or find_python(runtime.python) is not None
    return 1 if failed and asked else 0


if __name__ == "__main__":
    sys.exit(main())
