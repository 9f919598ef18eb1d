"""`check()` in a notebook that works on a GPU: right code passes however it finds its device, a real fault is told.

There is no GPU: `pretended_machine.py` stands for one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from autograder.check import check
from autograder.checks.student import LocalStudent
from autograder.notebook_kit.run_public import run_public
from autograder.runtime.errors import StudentError
from autograder.runtime.notebook_device import notebook_device, on_the_cpu
from tests.conftest import ROOT
from tests.support.gpu_notebooks import (
    COLUMNS,
    NETWORKS,
    ONE_HOT,
    RIGHT,
    ROWS,
    SIZE,
    WHERE,
    WRITTEN_OUT,
    checked,
    namespace_of,
    not_passed,
    notebook,
)
from tests.support.pretended_machine import pretended_machine

QUICK = ("7.1b", "7.1c", "7.1d", "7.1f", "7.1i-losses", "7.1i-inference")
DETECTOR = ("7.1i-losses", "7.1i-inference")
ALL_FOUR = ("7.1d", "7.1f", *DETECTOR)
OF_THE_DETECTOR = ("moved in __init__, kept on self", "an attribute of the class")
HABITS = ROOT.parent / "shared" / "habits"
MERGED = 'merged_c5 = self.fpn_params["lateral_c5"](backbone_feats["c5"])'
LEFT_BEHIND = (MERGED, MERGED + " + torch.zeros(1, 1, 1, 1)")  # stops on a GPU, in an exercise without a check of that


@pytest.fixture
def cuda(monkeypatch):
    """A machine with a CUDA card."""
    with pretended_machine(monkeypatch) as machine:
        yield machine


@pytest.fixture
def mac(monkeypatch):
    """A Mac with Apple's GPU."""
    with pretended_machine(monkeypatch, "mps") as machine:
        yield machine


@pytest.mark.parametrize("way", RIGHT)
def test_right_code_passes_on_a_gpu(assignment, cuda, way):
    """However code finds its device, it passes every public check of what it changes."""
    namespace = notebook(assignment, RIGHT[way], torch.device("cuda"))
    assert not_passed(checked(assignment, namespace, *(DETECTOR if way in OF_THE_DETECTOR else ALL_FOUR))) == []
    assert cuda.on_gpu > 50


@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda", 0)], ids=repr)
@pytest.mark.parametrize("way", ["the global in functions", "caught by a default argument"])
def test_device_may_be_a_text_or_have_a_number(assignment, cuda, way, device):
    """Whatever names the GPU, right code passes."""
    assert not_passed(checked(assignment, notebook(assignment, RIGHT[way], device), "7.1d", "7.1i-inference")) == []
    assert cuda.on_gpu > 50


def test_the_solution_passes_on_a_gpu(assignment, cuda):
    """The instructor's own solution, with `DEVICE` a GPU, passes all that is quick."""
    assert not_passed(checked(assignment, notebook(assignment, [], torch.device("cuda")), *QUICK)) == []
    assert cuda.on_gpu > 1000


@pytest.mark.parametrize("way", RIGHT)
def test_right_code_passes_on_a_mac(assignment, mac, way):
    """The same on Apple's GPU, which has no float64: the helpers ask for none there, so nothing needs the CPU."""
    found = checked(assignment, notebook(assignment, RIGHT[way], torch.device("mps")), *ALL_FOUR)
    assert not_passed(found) == []
    assert [result.message for results in found.values() for result in results if result.message] == []
    assert mac.on_gpu > 50


@pytest.mark.slow
@pytest.mark.parametrize("way", ["by the argument, and from other tensors", "moved in __init__, kept on self"])
def test_the_detector_learns_on_a_gpu(assignment, cuda, way):
    """7.1 (j) trains on the GPU, too."""
    namespace = notebook(assignment, RIGHT[way], torch.device("cuda"))
    assert not_passed(checked(assignment, namespace, "7.1j")) == []


def test_a_default_device_is_left_to_the_notebook(assignment, cuda):
    """After `torch.set_default_device(DEVICE)`, code that asks for no device is right; suites keep to the CPU.

    But in (d), where the argument says which device it is to be.
    """
    torch.set_default_device("cuda")
    bare = [(COLUMNS, COLUMNS.replace(", device=device", "")), (ROWS, ROWS.replace(", device=device", ""))]
    bare += [(WHERE, "dtype=images.dtype\n"), (ONE_HOT, "torch.eye(self.num_classes)[class_index]")]
    namespace = notebook(assignment, bare, torch.device("cuda"))
    lost = [line.partition(":")[0] for line in not_passed(checked(assignment, namespace, *QUICK))]
    assert lost == ["7.1d the_device_asked_for"]
    assert torch.get_default_device().type == "cuda"


def test_the_device_asked_for_is_the_argument_s_on_a_gpu_too(assignment, cuda):
    """On the GPU alone: the solution is on the CPU where that is asked for, and what takes the global is told."""
    gpu, ignored = torch.device("cuda"), [(line, line.replace("=device", "=DEVICE")) for line in (ROWS, COLUMNS)]
    right, wrong = (checked(assignment, notebook(assignment, part, gpu), "7.1d", device=gpu) for part in ([], ignored))
    assert not_passed(right) == []
    assert [line.partition(":")[0] for line in not_passed(wrong)] == ["7.1d the_device_asked_for"]


@pytest.mark.parametrize("device", [torch.device("cuda"), None], ids=["DEVICE", "no DEVICE"])
def test_cuda_written_out_is_right_on_a_gpu(assignment, cuda, device, capsys):
    """`.cuda()` in the code passes where there is a GPU; it is said once that grading has none, and by which line."""
    namespace = notebook(assignment, WRITTEN_OUT, device)
    assert not_passed(checked(assignment, namespace, *DETECTOR)) == []
    check("7.1i-losses", namespace)
    said = capsys.readouterr().out
    assert "all 10 checks pass" in said
    assert said.count("grading has none") == 1
    assert 'dtype=images.dtype, device="cuda"' in said or ".cuda().to(" in said


def test_a_device_caught_early_is_not_taken_for_one_written_out(assignment, cuda, capsys):
    """Grading binds `DEVICE` before it runs the code: nothing to warn of."""
    check("7.1i-losses", notebook(assignment, RIGHT["caught by a default argument"], "cuda"))
    assert "grading" not in capsys.readouterr().out.replace("when graded", "")


def test_cuda_written_out_where_there_is_none_is_told_with_its_line(assignment):
    """On a machine without a GPU the same code is checked on its values, and one check says why and where it stops."""
    found = checked(assignment, notebook(assignment, WRITTEN_OUT, torch.device("cpu")), "7.1i-losses")["7.1i-losses"]
    lost = [result for result in found if result.status != "passed"]
    assert [(result.name, result.status) for result in lost] == [("runs_on_a_gpu", "failed")]
    assert "works on a GPU alone" in lost[0].message and "code cell" in lost[0].message


def test_a_tensor_left_on_the_cpu_is_told_once_with_its_line(assignment, cuda, capsys):
    """Code that is right on the CPU and would stop the training on this GPU loses one check, and hears of the line."""
    check("7.1b", notebook(assignment, [LEFT_BEHIND], torch.device("cuda")))
    said = capsys.readouterr().out
    assert "9 of 10 checks pass" in said
    assert said.count("On the CPU this is right; on cuda, where this notebook works, it stops") == 1
    assert "torch.zeros(1, 1, 1, 1)).\n" in said and "code cell" in said


def test_a_check_of_devices_tells_it_in_place_of_others(assignment, cuda, capsys):
    """An exercise that has a check of devices loses that one alone, with the line, as without a GPU."""
    namespace = notebook(assignment, [(ONE_HOT, "torch.eye(self.num_classes)[class_index]")], torch.device("cuda"))
    check("7.1i-losses", namespace)
    said = capsys.readouterr().out
    assert "9 of 10 checks pass" in said
    assert "With a GPU this would stop in code cell" in said
    assert "torch.eye(self.num_classes)[class_index])" in said


def test_what_only_the_gpu_itself_can_tell_is_told(assignment, cuda, capsys):
    """A tensor made on the CPU at the top of the notebook stops the real GPU; the pretended one cannot know of it."""
    made_at_the_top = [(old, new.replace(", device=DEVICE", "")) for old, new in RIGHT["a tensor made at the top"]]
    check("7.1f", notebook(assignment, made_at_the_top, torch.device("cuda")))
    said = capsys.readouterr().out
    assert "8 of 9 checks pass" in said
    assert "on cuda, where this notebook works, it stops" in said and "SIGNS * distances)" in said


def test_wrong_code_is_wrong_on_a_gpu_too(assignment, cuda):
    """A wrong value costs what it costs on the CPU, with the same words."""
    wrong = [("torch.cat([left_top, right_bottom], dim=1) / stride", "torch.cat([left_top, right_bottom], dim=1)")]
    there = not_passed(checked(assignment, notebook(assignment, wrong, torch.device("cuda")), "7.1f"))
    here = not_passed(checked(assignment, notebook(assignment, wrong, torch.device("cpu")), "7.1f"))
    assert there == here
    assert len(there) == 5


def test_an_index_out_of_range_never_reaches_the_gpu(assignment, cuda):
    """A kernel that asserts would spoil the GPU until the notebook is restarted: the CPU says what is wrong instead."""
    wrong = [(ONE_HOT, "torch.eye(3, device=images.device)[places.append(images.device.type) or class_index]")]
    namespace = notebook(assignment, wrong, torch.device("cuda"))
    namespace["places"] = []
    found = not_passed(checked(assignment, namespace, "7.1i-losses"))
    assert len(found) == 9 and all("IndexError" in line for line in found)
    assert set(namespace["places"]) == {"cpu"}


def test_an_operator_that_a_mac_lacks_is_no_fault(assignment, monkeypatch, capsys):
    """Where Apple's GPU cannot do something, the check is made on the CPU, and it is said once what to do."""
    with pretended_machine(monkeypatch, "mps", lacks=("clamp",)):
        check("7.1f", notebook(assignment, [], torch.device("mps")))
    said = capsys.readouterr().out
    assert "all 9 checks pass" in said
    assert said.count("Checked on the CPU, where it is right. On mps") == 1
    assert "aten::clamp" in said and "PYTORCH_ENABLE_MPS_FALLBACK=1" in said
    assert "not done" not in said


def test_a_lacking_operator_is_not_taken_for_an_exercise_as_given(assignment, monkeypatch):
    """Torch's own NotImplementedError, raised in a student's line, does not say that the exercise is not done."""
    folders = assignment.suites, assignment.reference
    with pretended_machine(monkeypatch, "mps", lacks=("clamp",)):
        namespace = notebook(assignment, [], torch.device("mps"))
        results = run_public("7.1f", namespace, [], *folders, device=torch.device("mps"))
    stopped = [result for result in results if result.status != "passed"]
    assert stopped and all(result.status == "error" for result in stopped)
    assert all("not currently implemented for the MPS device" in result.message for result in stopped)


def test_float64_on_a_mac_is_no_fault(assignment, mac, capsys):
    """Code that computes in float64 is right; on Apple's GPU, which has none, it is told what that means there."""
    double = "(torch.cat([left_top, right_bottom], dim=1).double() / stride).to(locations.dtype)"
    namespace = notebook(
        assignment, [("torch.cat([left_top, right_bottom], dim=1) / stride", double)], torch.device("mps")
    )
    check("7.1f", namespace)
    said = capsys.readouterr().out
    assert "all 9 checks pass" in said
    assert "float64" in said and 'set DEVICE to "cpu".' in said and "FALLBACK" not in said


def test_inputs_that_a_gpu_refuses_are_not_the_student_s_fault(assignment, mac):
    """A check that hands over float64, where there is none, says whose fault that is."""
    namespace = {"f": lambda x: x}
    student = LocalStudent(namespace, torch.device("mps"))
    with pytest.raises(StudentError, match="The inputs of this check do not fit on mps"):
        student.call("f", torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("status", ["passed", "error"])
def test_nothing_is_left_changed(assignment, cuda, status):
    """Globals, default device, random states of both devices and settings of the GPU are what they were."""
    changes = RIGHT["moved in __init__, kept on self"]
    changes = [*changes, (SIZE, SIZE + "\n            torch.cuda.set_rng_state(torch.zeros(16, dtype=torch.uint8))")]
    changes += [(NETWORKS, "raise ValueError(1)")] if status == "error" else []
    namespace = notebook(assignment, changes[1:] if status == "error" else changes, torch.device("cuda"))
    namespace |= {"device": "cuda", "other_device": torch.device("cuda", 0)}
    before = dict(namespace)
    torch.manual_seed(3)
    states = [torch.get_rng_state(), torch.cuda.get_rng_state()]
    flags = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.get_num_threads())
    check("7.1i-inference", namespace)
    assert namespace == before and all(namespace[name] is before[name] for name in before)
    assert all(
        torch.equal(*pair) for pair in zip(states, [torch.get_rng_state(), torch.cuda.get_rng_state()], strict=True)
    )
    assert flags == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.get_num_threads())
    assert torch.get_default_device().type == "cpu"


def test_a_check_stopped_by_hand_leaves_the_device_as_it_was(cuda, capsys):
    """The stop button while the code runs on the CPU: `DEVICE` is the notebook's own again."""

    def endless(*_, **__):
        raise KeyboardInterrupt

    namespace = {"DEVICE": torch.device("cuda"), "get_fpn_location_coords": endless}
    before = dict(namespace)
    check("7.1d", namespace)
    assert "were stopped" in capsys.readouterr().out
    assert namespace == before


def test_on_a_cpu_everything_runs_once(assignment, monkeypatch):
    """Without a GPU nothing is run twice or moved, and a `DEVICE` that names an absent one counts as the CPU."""
    calls = []
    namespace = notebook(assignment, RIGHT["the global in functions"], torch.device("cuda"))
    original = namespace["fcos_apply_deltas_to_locations"]
    namespace["fcos_apply_deltas_to_locations"] = lambda *args: calls.append(1) or original(*args)
    assert not_passed(checked(assignment, namespace, "7.1f")) == []
    assert len(calls) == 9  # for the checks that call it, and one as if on a GPU


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"DEVICE": torch.device("cuda", 0)}, "cuda:0"),
        ({"DEVICE": "cuda"}, "cuda"),
        ({"cpu": torch.device("cpu"), "gpu": torch.device("cuda")}, "cuda"),
        ({"device": "cuda", "DEVICE": torch.device("cpu")}, None),
        ({"DEVICE": "cpu"}, None),
        ({"DEVICE": torch.device("mps")}, None),  # not there
        ({"DEVICE": "a laptop", "colour": "cuda"}, "cuda"),  # nothing says: the one that is there
        ({}, "cuda"),
        ({"_": torch.device("cpu"), "DEVICE": torch.device("cuda")}, "cuda"),
    ],
)
def test_which_device_a_notebook_works_on(cuda, found, expected):
    """`DEVICE` says, or another global that names a device; or else the GPU that is there."""
    device = notebook_device(found)
    assert (str(device) if device else None) == expected


def test_the_cpu_stands_in_for_every_global_that_names_a_gpu(cuda):
    """Texts stay texts, devices devices, and what is no device is left alone, also if the code within raises."""
    names = {"DEVICE": torch.device("cuda"), "device_name": "cuda:0", "kind": "cuda", "cpu": torch.device("cpu")}
    before = dict(names)
    with pytest.raises(KeyError), on_the_cpu(names):
        assert names == before | {"DEVICE": torch.device("cpu"), "device_name": "cpu"}
        raise KeyError
    assert names == before


@pytest.mark.filterwarnings("ignore::FutureWarning")  # some use what torch will drop
@pytest.mark.parametrize("path", sorted(HABITS.glob("gpu_*.ipynb")), ids=lambda path: path.stem)
def test_people_s_own_ways_with_devices_pass_on_a_gpu(assignment, monkeypatch, path):
    """Notebooks of others that do something with devices pass every public check where there is a GPU."""
    device = "cuda" if "a_string" in path.stem else torch.device("cuda")
    with pretended_machine(monkeypatch):
        namespace = namespace_of(assignment, path.read_bytes(), path.suffix, device)
        assert not_passed(checked(assignment, namespace, *DETECTOR, "7.1d", "7.1f")) == []


def _right_on_a_cpu() -> list[Path]:
    """Notebooks of others that do something with devices and need no GPU."""
    if not HABITS.is_dir():
        return []
    told = json.loads((HABITS / "INDEX.json").read_text(encoding="utf-8"))
    return [HABITS / name for name, entry in told.items() if name.startswith("gpu_") and entry["keeps_every_point"]]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.skipif(not HABITS.is_dir(), reason="the notebooks of others are not on this machine")
@pytest.mark.parametrize("path", _right_on_a_cpu() or [HABITS], ids=lambda path: path.stem)
def test_people_s_own_ways_with_devices_pass_on_a_cpu(assignment, path):
    """On a machine without a GPU they pass every public check, those of a pretended GPU among them."""
    device = "cpu" if "a_string" in path.stem else torch.device("cpu")
    namespace = namespace_of(assignment, path.read_bytes(), path.suffix, device)
    assert not_passed(checked(assignment, namespace, *DETECTOR, "7.1d", "7.1f")) == []
