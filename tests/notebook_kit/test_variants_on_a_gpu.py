"""The right solutions of the proof in `check()`, where there is a GPU."""

from pathlib import Path

import pytest
import torch

from autograder.grading.cases import concerns, load_proof, write_case
from autograder.runtime.offline_weights import weights_answered
from tests.support.gpu_notebooks import checked, namespace_of, not_passed
from tests.support.pretended_machine import pretended_machine

QUICK = ("7.1b", "7.1c", "7.1d", "7.1f", "7.1i-losses", "7.1i-inference")


@pytest.mark.slow
def test_right_variants_lose_nothing_on_a_gpu(assignment, monkeypatch, tmp_path):
    """No right solution of the proof loses a public check of what it changes on a GPU that it passes on a CPU."""
    lost = []
    for case in load_proof(assignment):
        if case.kind == "variant":
            written = write_case(assignment, case, tmp_path)
            exercises = [name for name in QUICK if name not in written.skip and concerns(assignment, case, name)]
            with weights_answered():
                found = _lost(assignment, written.path, exercises, monkeypatch)
            lost += [f"{case.sample.student}: {line}" for line in found]
    assert lost == []


def _lost(assignment, path: Path, exercises: list[str], monkeypatch) -> list[str]:
    """The checks that a notebook passes with the CPU and not with a GPU in its place."""
    data = path.read_bytes()
    with pretended_machine(monkeypatch):
        namespace = namespace_of(assignment, data, path.suffix, torch.device("cuda"))
        if not not_passed(checked(assignment, namespace, *exercises, device=torch.device("cuda"))):
            return []  # on the CPU it passes in the proof, and what passes on both passes
        there = not_passed(checked(assignment, namespace, *exercises))
    if not there:
        return []
    here = not_passed(checked(assignment, namespace_of(assignment, data, path.suffix, torch.device("cpu")), *exercises))
    known = {line.partition(":")[0] for line in here}
    return [line for line in there if line.partition(":")[0] not in known]
