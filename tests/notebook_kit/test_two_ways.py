"""One verdict from two runs: what counts, what is said, and which words of torch's mean what."""

from __future__ import annotations

import pytest
import torch

from autograder.checks.result import CheckResult
from autograder.notebook_kit.two_ways import is_mix, one_verdict, warn_of_written_out, worth_another_run

CUDA = torch.device("cuda")
MIX = "Your code raised RuntimeError: Expected all tensors to be on the same device, cuda:0 and cpu!"


def check(name: str, status: str = "passed", message: str = "", diagnosis: str = "") -> CheckResult:
    """The result of a check that is worth a point."""
    return CheckResult("7.1x", name, "It is right.", 1.0, status, public=True, message=message, diagnosis=diagnosis)


def verdict(cpu: list[CheckResult], *there: CheckResult) -> list[tuple[str, str]]:
    """Status and message of each check."""
    both = one_verdict(cpu, {result.name: result for result in there}, CUDA)
    assert [result.name for result in both] == [result.name for result in cpu]
    return [(result.status, result.message) for result in both]


@pytest.mark.parametrize(
    "message",
    [
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
        "Expected all tensors to be on the same device, but got index is on cpu, different from others on cuda:0",
        "Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the same",
        "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same or input ...",
        "Input type (MPSFloatType) and weight type (torch.FloatTensor) should be the same",
        "indices should be either on cpu or on the same device as the indexed tensor (cpu)",
        "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first",
        "Placeholder storage has not been allocated on MPS device!",
        "Tensor for argument weight is on cpu but expected on mps",
        "boxes must be a CUDA tensor",
    ],
)
def test_words_for_tensors_on_two_devices(message):
    """What torch and torchvision say where devices meet is known for it."""
    assert is_mix(check("a", "error", message))


@pytest.mark.parametrize(
    "message",
    [
        "Input type (c10::BFloat16) and bias type (float) should be the same",
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.74 GiB",
        "The operator 'aten::unique' is not currently implemented for the MPS device.",
        "expected (12, 4), got (4, 12)",
    ],
)
def test_words_for_something_else(message):
    """Shapes, dtypes, memory and operators are not devices."""
    assert not is_mix(check("a", "error", message))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (check("a"), True),
        (check("a", "failed", "expected 1, got 2"), True),
        (check("a", "error", MIX), True),
        (check("a", "error", "IndexError: index 7 is out of bounds for dimension 0 with size 7"), False),
        (check("a", "error", "RuntimeError: Class values must be smaller than num_classes."), False),
        (check("a", "missing"), False),
        (check("a", "memory"), False),
    ],
    ids=repr,
)
def test_what_is_run_on_the_gpu(result, expected):
    """All but what is not there, and what would spoil the GPU for the rest of the notebook."""
    assert worth_another_run(result) is expected


def test_the_better_of_the_two_counts():
    """Right on either device is right; a wrong value is told as the CPU tells it."""
    cpu = [
        check("a"),
        check("b", "error", MIX),
        check("c", "failed", "on the CPU"),
        check("d", "error", "not run again"),
    ]
    there = [check("a", "failed", "other digits"), check("b"), check("c", "failed", "on the GPU")]
    expected = [("passed", ""), ("passed", ""), ("failed", "on the CPU"), ("error", "not run again")]
    assert verdict(cpu, *there) == expected


def test_code_that_stops_on_both_is_told_what_stops_it_on_the_gpu():
    """A device that was caught early lets everything stop on the CPU: the GPU's error is the fault."""
    shape = "Your code raised RuntimeError: The size of tensor a (3) must match"
    assert verdict([check("a", "error", MIX)], check("a", "error", shape)) == [("error", shape)]


def test_a_tensor_left_behind_costs_one_check():
    """The check of devices if the exercise has one, else the first that stopped."""
    stopped = [check("a", "error", MIX), check("b", "error", MIX)]
    assert verdict([check("a"), check("b")], *stopped) == [("error", MIX), ("passed", "")]
    cpu = [check("a"), check("b"), check("runs_on_a_gpu")]
    there = [*stopped, check("runs_on_a_gpu", "failed", MIX)]
    assert verdict(cpu, *there) == [("passed", ""), ("passed", ""), ("failed", MIX)]
    cpu[2] = check("runs_on_a_gpu", "failed", MIX, "With a GPU this would stop in code cell 3, line 2")
    assert verdict(cpu, *there) == [("passed", ""), ("passed", ""), ("failed", MIX)]


def test_a_real_gpu_knows_better_than_an_account():
    """The check of devices passes if the code has really run on the GPU."""
    assert verdict([check("runs_on_a_gpu", "failed", MIX)], check("runs_on_a_gpu")) == [("passed", "")]


def test_numpy_has_words_of_its_own():
    """A tensor handed to numpy did not meet another: the advice is `.cpu()`."""
    told = check("a", "error", "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
    (result,) = one_verdict([check("a")], {"a": told}, CUDA)
    assert ".cpu()" in result.diagnosis and "meets" not in result.diagnosis


def test_no_memory_on_the_gpu_costs_nothing_and_is_told_once():
    """A GPU that is full says so beside the first check; the CPU's verdict counts."""
    full = "Your code raised OutOfMemoryError: CUDA out of memory."
    found = verdict([check("a"), check("b")], check("a", "error", full), check("b", "error", full))
    assert [status for status, _ in found] == ["passed", "passed"]
    assert full in found[0][1] and "Checked on the CPU" in found[0][1]
    assert found[1][1] == ""


def test_a_line_that_asks_for_a_gpu_is_named_only_where_it_matters():
    """Nothing is searched where the CPU agrees; a line that asks whether there is a GPU is none."""

    class Guarded:
        def run(self, x):
            return x.cuda() if torch.cuda.is_available() else x

    class Bare:
        def run(self, x):
            return x.cuda()

    for code, both, expected in ((Bare, True, ""), (Guarded, False, ""), (Bare, False, "return x.cuda()")):
        results = one_verdict([check("a") if both else check("a", "error", MIX)], {"a": check("a")}, CUDA)
        warn_of_written_out(results, [code, None])
        assert expected in results[0].message and bool(results[0].message) == bool(expected)
