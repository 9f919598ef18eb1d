"""Everything that only a GPU can show, in one command: what `check()` says there, and what training costs and gives.

    python data_scripts/on_gpu.py --out DIR [--voc data] [--minutes 10]

It compares the verdicts on the course's own solutions, right and wrong, with the CPU's (without a sandbox: they are the
course's own, and this is staff's own machine), repeats the notebook's overfit run, times an iteration beside a plain
loop, trains with both recipes, and forces NaN. DIR gets `results.json`, `report.md` and `losses.png`, together and
whole. What there was no time for is named there. `--pretend` does all of it without a GPU, in small numbers.

Exit code: 0 all is as it should be; 1 something differs, and the report says what; 2 usage, or no CUDA here.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # data_scripts and benchmarks are not installed

import matplotlib

matplotlib.use("Agg")
import torch
from rich.console import Console

from autograder.commands.front import progress_bar
from autograder.course.assignment import Assignment, load_assignment
from autograder.runtime.errors import KitError
from data_scripts.gpu_report.cases import chosen, load_case
from data_scripts.gpu_report.machine import machine
from data_scripts.gpu_report.nonfinite import forced
from data_scripts.gpu_report.plan import PRETENDED, Budget, Part, Setting, Sizes
from data_scripts.gpu_report.recipes import PLAIN_LOOP, recipes, timing
from data_scripts.gpu_report.report import JSON, PAGE, write_results
from data_scripts.gpu_report.training import Data, open_data, overfit
from data_scripts.gpu_report.verdicts import compare

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments, measure, write; the exit code."""
    options = _options(arguments)
    console = Console(soft_wrap=True, highlight=False)
    problem = "" if options.pretend else _no_cuda()
    problem = problem or _unwritable(options.out)
    if problem:
        print(problem, file=sys.stderr)
        return 2
    sizes = PRETENDED if options.pretend else Sizes()
    if options.pretend:
        torch.set_num_threads(1)  # tensors are small, and on a busy machine threads wait for each other
    if options.cases is not None:
        sizes = replace(sizes, cases=options.cases)
    setting = Setting(torch.device("cpu" if options.pretend else "cuda"), sizes, console.print)
    try:
        data = open_data(options.voc or _voc_here(), sizes.image, keep=True)
        results = measure(load_assignment("ps7", ROOT), data, setting, options.minutes, options.pretend, console)
        write_results(options.out, results)
    except (KitError, OSError, ValueError) as error:
        print(f"{error}\nNothing was written.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. Nothing was written.", file=sys.stderr)
        return 130
    for line in [*results["differs"], *(f"Cut: {cut}" for cut in results["cut"])]:
        console.print(line, markup=False)
    console.print(f"{options.out / PAGE} and {options.out / JSON}", markup=False)
    return int(bool(results["differs"]))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that gets the report")
    parser.add_argument("--voc", type=Path, metavar="DIR", help="VOC 2007 (default: data/ if it is there, else shapes)")
    parser.add_argument("--minutes", type=_positive, default=10.0, help="for all of it (default: %(default)g)")
    parser.add_argument("--cases", type=_count, metavar="N", help="compare verdicts on so many cases (default: all)")
    parser.add_argument("--pretend", action="store_true", help="without a GPU, in small numbers (12 cases)")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _no_cuda() -> str:
    """Why this is no machine for it; "" if it is one."""
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        why = f"this torch ({torch.__version__}) is built without it. Install one that is built with it"
    else:
        why = f"torch {torch.__version__} finds no NVIDIA GPU. Look whether `nvidia-smi` shows one"
    return f"There is no CUDA here: {why}; to try everything out on the CPU, in small numbers, add --pretend."


def _unwritable(out: Path) -> str:
    """Why the report could not be written there, told before the work; "" if it can."""
    if out.exists() and not out.is_dir():
        return f"{out} is a file: --out names a folder, which gets the report."
    nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} cannot be written to by you: name another folder with --out."
    return ""


def _voc_here() -> Path | None:
    """Where the notebook keeps VOC, if it is there: as a whole, the last list with it."""
    return Path("data") if Path("data", "voc07_val.json").is_file() else None


def measure(
    assignment: Assignment, data: Data, setting: Setting, minutes: float, pretended: bool, console: Console
) -> dict[str, Any]:
    """Run all parts, one after the other. One that stops does not stop the others.

    Args:
        assignment: Whose solution and cases.
        data: What is trained on.
        setting: Where, and how much.
        minutes: For all of it. What is left of it when the trainings are through, the verdicts may take.
        pretended: Whether the report has to say that this is no GPU.
        console: Shows how far the verdicts are.

    Returns:
        What `results.json` holds.
    """
    budget = Budget(60 * minutes)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    solution = load_case(assignment, chosen(assignment, 1)[0], str(setting.device))

    def an_iteration() -> float:
        ways = parts["timing"].data.get("ways", [])
        return max((way["seconds_an_iteration"] for way in ways if way["name"] != PLAIN_LOOP), default=0.0)

    todo: dict[str, Callable[[], Part]] = {
        "overfit": lambda: overfit(solution, data, setting, budget.until(0.15)),
        "timing": lambda: timing(solution, data, setting, budget.until(0.1)),
        "recipes": lambda: recipes(solution, data, setting, budget.until(0.5), an_iteration()),
        "nan": lambda: forced(solution, data, setting, budget.until(0.1)),
        "verdicts": lambda: _shown(assignment, setting, budget.until(0.95), console),
    }
    parts: dict[str, Part] = {}
    for name, run in todo.items():
        setting.say(f"[{budget.used:.0f} s] {name}")
        parts[name] = run_part(name, run)
    return {
        "pretended": pretended,
        "started": started,
        "seconds": budget.used,
        "minutes": minutes,
        "machine": machine(setting.device),
        "differs": [line for part in parts.values() for line in part.differs],
        "cut": [line for part in parts.values() for line in part.cut],
        **{name: part.data for name, part in parts.items()},
    }


def run_part(name: str, run: Callable[[], Part]) -> Part:
    """What a part comes to, also where it breaks: a GPU is seldom at hand, and the other parts are worth having."""
    try:
        return run()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        data = {"stopped": said, "traceback": traceback.format_exc()}
        return Part(data, differs=[f"The part {name} stopped: {said}"])


def _shown(assignment: Assignment, setting: Setting, deadline: float, console: Console) -> Part:
    """The verdicts, with a bar in a terminal and a line now and then elsewhere."""
    torch.cuda.empty_cache()  # what the trainings took: other processes need it now; does nothing without a GPU
    with progress_bar(console) as bar:
        task = bar.add_task("verdicts", total=None)

        def step(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)
            if not console.is_terminal and done % 50 == 0:
                console.print(f"verdicts: {done} of {of}")

        return compare(assignment, setting, deadline, step)


if __name__ == "__main__":
    sys.exit(main())
