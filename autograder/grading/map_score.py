"""The mean average precision of the weights that a student handed in, measured and not believed.

The student's own code makes the detector, opens the weights and runs, all of it in the sandbox. It is sent images,
a few at a time, and sends back detections; it never sees which images come, nor any true box. What comes back is
checked like every value of a student's, and the figure is computed here. Whatever goes wrong costs the figure and
nothing else. Weights are measured as they were made, which `map_plan` finds out: else the figure says nothing of them.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch

from autograder.checks.bounded import bounded_details, bounded_text
from autograder.checks.result import CheckResult, ExerciseResult, Figure
from autograder.checks.student import Handle
from autograder.checks.suite_imports import module_at
from autograder.course.assignment import Assignment
from autograder.course.map_settings import MapSettings, Way
from autograder.grading.map_plan import Plan, plan_for
from autograder.intake.trained import Trained
from autograder.intake.weights import Weights
from autograder.parsing.budget import reading_budget
from autograder.parsing.cells import Cell
from autograder.parsing.slicing import make_slice
from autograder.runtime.errors import KitError, StudentError, SubmissionError
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host

NAME = "mAP"
_BATCH = 8


@dataclass(frozen=True)
class Asked:
    """What a figure is to be measured from: the weights, if there are any, what picks the images, and the note."""

    weights: Weights | None
    seed: int
    trained: Trained | None = None


def expect_images(assignment: Assignment) -> None:
    """See that there are images to measure by, before anybody is graded.

    Raises:
        KitError: The folder is not as it should be, or the suites have no `hidden/held_out.py`; for a TA.
    """
    if assignment.map is None:
        return
    try:
        _images(assignment, assignment.map, Plan("", assignment.map.folder, assignment.map.image_size, ()), 0)
    except (OSError, ValueError) as error:
        raise KitError(f"[map] in {assignment.folder}/assignment.toml: {error} A TA has to mend it.") from error


def measure(assignment: Assignment, settings: MapSettings, cells: list[Cell], host: Host, asked: Asked) -> Figure:
    """Measure the mAP of one submission. Whatever happens, there is a figure.

    Args:
        assignment: What is asked.
        settings: Its `[map]` table.
        cells: The notebook.
        host: The sandbox; no worker may be in it.
        asked: The weights and the seed.
    """
    if asked.weights is None:
        return _absent(settings, asked.seed)
    figure = Figure(settings.id, NAME, "absent", seed=asked.seed)
    figure.file = asked.weights.name
    started = time.perf_counter()
    try:
        data = asked.weights.read(settings.weights_megabytes)
        figure.sha256 = hashlib.sha256(data).hexdigest()
        _fill(figure, assignment, settings, cells, host, data, asked.trained)
    except SubmissionError as error:
        figure.status, figure.message = "refused", f"The weights are not read: {error}"
    except Exception:  # ours, and only the figure's
        figure.status, figure.details = "grader_error", bounded_details(traceback.format_exc())
        figure.message = "Measuring it broke. That is our fault and costs you nothing; staff will look."
    figure.seconds = round(time.perf_counter() - started, 2)
    return figure


def not_possible(settings: MapSettings, asked: Asked | None, problem: str) -> Figure:
    """The figure of a notebook that cannot be read: its weights, if there are any, have no code to run with."""
    if asked is None or asked.weights is None:
        return _absent(settings, asked.seed if asked else 0)
    return Figure(settings.id, NAME, "missing", message=problem, file=asked.weights.name)


def _absent(settings: MapSettings, seed: int) -> Figure:
    message = f"Not handed in: there is no {settings.wanted} beside the notebook."
    return Figure(settings.id, NAME, "absent", message=message, seed=seed)


def _fill(
    figure: Figure,
    assignment: Assignment,
    settings: MapSettings,
    cells: list[Cell],
    host: Host,
    data: bytes,
    trained: Trained | None,
) -> None:
    """Run the detector and compute the figure, or say why there is none."""
    student = _student(assignment, settings, cells, host)
    shown = False  # whether its code has seen an image: from then on its own words stay with staff
    found: list[Any] = []
    left_out = images = 0
    try:
        detector, way = _loaded(student, settings, data, figure.file)
        plan = plan_for(settings, way, trained, figure.sha256)
        if plan.problem:
            figure.status = "grader_error" if settings.points else "missing"
            figure.message = plan.problem
            return
        chosen = _images(assignment, settings, plan, figure.seed)
        images = len(chosen)
        for batch in chosen.batches(_BATCH):
            shown = True
            answers = detector_answers(student, detector, batch, settings, plan.call)
            for answer in answers:
                three, odd = _held_out(assignment).checked(answer, settings.detections)
                found.append(three)
                left_out += odd
    except StudentError as error:
        figure.status = "refused" if error.kind == "WeightsRefused" else error.status
        figure.message = bounded_text(error.public_text if shown else error.message)
        figure.details = f"After {len(found)} of {images} images: {bounded_text(error.message)}" if shown else ""
        return
    finally:
        student.close()
    figure.value, figure.images, figure.status = chosen.mean_ap(found), images, "measured"
    figure.message = " ".join(filter(None, [plan.told(images), _said(left_out)]))


def _student(assignment: Assignment, settings: MapSettings, cells: list[Cell], host: Host) -> SandboxedStudent:
    """The student's code in a process of its own, with the time that there is for all images."""
    seconds = settings.seconds
    limits = replace(assignment.limits, call_seconds=seconds, exercise_seconds=seconds, restarts=0)
    limits = replace(limits, submission_seconds=host.charged + 2 * seconds)  # a slow exercise costs no figure
    with reading_budget():
        piece = make_slice(cells, (settings.make,), assignment.not_run, assignment.globals, assignment.wanted)
    return SandboxedStudent(replace(assignment, limits=limits), piece, host)


def detector_answers(
    student: SandboxedStudent,
    detector: Handle,
    batch: list[torch.Tensor],
    settings: MapSettings,
    call: tuple[tuple[str, Any], ...] | None = None,
) -> list[Any]:
    """What the detector gives for each image of a batch, called with `call`, or as the settings say if None.

    Raises:
        StudentError: It failed, or there is not an answer for each image.
    """
    arguments = {"images": batch, "kwargs": dict(settings.call if call is None else call), "most": settings.detections}
    answers = student.do("detect", handle=detector.number, **arguments)
    if not isinstance(answers, list) or len(answers) != len(batch):
        raise StudentError("error", "Your code's process did not answer for every image.")
    return answers


def _loaded(student: SandboxedStudent, settings: MapSettings, data: bytes, file: str) -> tuple[Handle, Way]:
    """The detector with its weights, made with the first arguments that they fit, and which those are.

    Raises:
        StudentError: They fit none; what is said is about the first.
    """
    content = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
    first: StudentError | None = None
    for way in settings.ways:
        detector = student.new(settings.make, *way.arguments)
        made = f"`{settings.make}({', '.join(map(repr, way.arguments))})`"
        try:
            safetensors = file.endswith(".safetensors")
            student.do("weights", handle=detector.number, content=content, safetensors=safetensors, made=made)
            return detector, way
        except StudentError as error:
            first = first or error
            if error.kind != "WeightsRefused":
                raise
    assert first is not None
    raise first


def _said(left_out: int) -> str:
    if not left_out:
        return ""
    return f"{left_out} detections were left out: a number in them is NaN or infinite, or their class does not exist."


def scored(settings: MapSettings, figure: Figure) -> ExerciseResult:
    """The points of a figure, as a result like an exercise's: an equal share for each mAP that is reached."""
    status = {"absent": "missing", "refused": "failed"}.get(figure.status, figure.status)
    checks = []
    for number, threshold in enumerate(settings.marks_at, start=1):
        check = CheckResult(
            exercise=settings.id,
            name=f"map_{number}",
            sentence=f"The {NAME} of your weights is at least {threshold:.0%}.",
            points=settings.points / len(settings.marks_at),
            status=status,
            public=False,
            message=figure.message,
            details=figure.details,
            seconds=figure.seconds if number == 1 else 0.0,
        )
        if figure.value is not None:
            reached = figure.value >= threshold
            check.status = "passed" if reached else "failed"
            check.message = "" if reached else f"It is {figure.value:.2%}, over {figure.images} images."
        checks.append(check)
    return ExerciseResult(settings.id, settings.title, settings.points, checks)


def _images(assignment: Assignment, settings: MapSettings, plan: Plan, seed: int) -> Any:
    return _held_out(assignment).HeldOut(plan.folder, settings.images, plan.image_size, seed)


def _held_out(assignment: Assignment) -> ModuleType:
    """The suites' side of it: images and true boxes. It knows the assignment; this file does not."""
    path = assignment.suites / "hidden" / "held_out.py"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: it says which images are looked at.")
    return module_at(path)
