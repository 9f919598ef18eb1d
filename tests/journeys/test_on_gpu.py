"""`data_scripts/on_gpu.py`: what it finds, what it cuts, what it writes; without a GPU, so with `--pretend`."""

from __future__ import annotations

import copy
import json
import re
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from autograder.grading.cases import Case, load_proof
from autograder.grading.samples import Sample
from autograder.runtime.shallow_backbone import shallow_models
from data_scripts import on_gpu
from data_scripts.gpu_report import nonfinite, report, verdicts
from data_scripts.gpu_report.cases import Job, chosen, jobs, load_case
from data_scripts.gpu_report.examined import Examined, Verdict, answers, examine
from data_scripts.gpu_report.plan import PRETENDED, Budget, Setting
from data_scripts.gpu_report.processes import Processes
from data_scripts.gpu_report.recipes import recipes, timing
from data_scripts.gpu_report.training import Timed, open_data, overfit, train
from data_scripts.gpu_report.verdicts import compare, differences
from ps7_helpers import write_voc

OTHER = "cpu:0"  # the CPU by another name: code can tell it from "cpu", as it can tell a GPU
LATE = float("inf")
COLUMNS = "columns = (torch.arange(width, dtype=dtype, device=device) + 0.5) * level_stride"
TINY = replace(PRETENDED, batch=2, overfit_iterations=2, recipe_iterations=2, val_images=1, timed_iterations=2, cases=2)
CUT = re.compile(r"Verdicts: 2 of \d{3} cases were asked for\.")


def case(added: str, kind: str = "mutant") -> Case:
    """The solution with something added to the columns of (d)."""
    return Case(kind, Sample("made-up", "a fault", changes=((COLUMNS, f"{COLUMNS} + {added}"),)))


def told_apart(rows: list[verdicts.Difference]) -> list[verdicts.Difference]:
    """Differences but for one check: it asks for the CPU by name, and is on the other device then, the CPU as well."""
    return [row for row in rows if row.check != "the_device_asked_for"]


class Constant(nn.Module):
    """A detector whose loss is its weight, and that finds nothing."""

    def __init__(self, **_: object) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images, gt_boxes=None, **_: object):
        """Losses in training, an empty answer in evaluation."""
        if self.training:
            return {"loss_cls": self.weight * 1}
        return torch.zeros(0, 4), torch.zeros(0), torch.zeros(0)


@pytest.fixture
def setting() -> Setting:
    """The CPU, in the smallest numbers."""
    return Setting(torch.device("cpu"), TINY, lambda line: None)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors are fastest on one thread, and the tests run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shapes():
    """The built-in data set."""
    return open_data(None, 64, keep=True)


@pytest.fixture(scope="module")
def pretended(tmp_path_factory) -> tuple[int, Path]:
    """A run with `--pretend`, of a detector with few layers: its exit code and its folder."""
    folder = tmp_path_factory.mktemp("on_gpu") / "a" / "b"
    with pytest.MonkeyPatch.context() as patch, shallow_models():

        def no_network(*_, **__):
            raise socket.gaierror("tests do not use the network")

        patch.setattr(socket, "getaddrinfo", no_network)
        patch.setattr(on_gpu, "PRETENDED", TINY)
        return on_gpu.main(["--pretend", "--out", str(folder), "--minutes", "1000"]), folder


@pytest.fixture
def results(pretended) -> dict:
    """What that run measured, to be changed at will."""
    return copy.deepcopy(json.loads((pretended[1] / report.JSON).read_text(encoding="utf-8")))


@pytest.mark.slow
def test_a_pretended_run_measures_everything(pretended, results):
    """The JSON holds each part, whole; the CPU against itself shows no difference, and all else holds."""
    assert pretended[0] == 0 and results["differs"] == [] and results["pretended"] is True
    (cut,) = results["cut"]
    assert CUT.fullmatch(cut)
    assert results["machine"]["gpu"] == "" and results["machine"]["torch"] == torch.__version__
    found = results["verdicts"]
    assert found["done"] == found["jobs"] >= 8 and found["checks"] > 60
    assert found["differences"] == found["other_words"] == found["right_that_fail"] == []
    assert len(results["overfit"]["losses"]["loss"]) == results["overfit"]["iterations"] == 2
    assert results["overfit"]["first_loss"] > 0 and results["overfit"]["seconds_an_iteration"] > 0
    ways = {way["name"]: way for way in results["timing"]["ways"]}
    assert ways["plain loop"]["to_plain_loop_ratio"] == 1 and len(ways) == 4
    for run in results["recipes"]["recipes"].values():
        assert run["iterations"] == run["planned_iterations"] == len(run["losses"]["loss"]) == 2
        assert 0 <= run["map"] <= 1 and run["map_images"] == 1 and run["peak_mb"] is None
    assert results["recipes"]["data"] == "built-in shapes, 64 pixels"
    high, poisoned = results["nan"].values()
    assert "Training stopped before this spoiled the weights" in high["said"] and high["weights_finite"]
    assert "First wrong: the parameter" in poisoned["said"] and poisoned["iteration"] == 0


@pytest.mark.slow
def test_a_pretended_run_says_so_on_its_page(pretended):
    """Above all figures stands that none is a GPU's; the plot that the page shows is there."""
    page = (pretended[1] / report.PAGE).read_text(encoding="utf-8")
    assert page.index("No figure on this page is one of a GPU") < page.index("## ")
    assert CUT.search(page) and "**Verdicts that differ: 0.**" in page
    assert f"({report.PLOT})" in page and "not measured" in page
    assert (pretended[1] / report.PLOT).read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in pretended[1].iterdir()) == sorted([report.JSON, report.PAGE, report.PLOT])


@pytest.mark.slow
def test_the_page_names_what_differs(results):
    """A difference is a row of the table, told at the top; a part that broke says so in place of its figures."""
    row = verdicts.Difference("a|case", "mutant", "7.1d", "order", "on", "failed", "error", "Said\nso.")
    results["verdicts"]["differences"] = [vars(row)]
    results["differs"] = ["1 verdicts differ from the CPU's."]
    results["overfit"] = {"stopped": "OutOfMemoryError: too large"}
    results["pretended"] = False
    page = report.page(results)
    assert "| a\\|case | mutant | 7.1d | order | on | failed | error | Said so. |" in page
    assert page.index("- 1 verdicts differ") < page.index("## The machine")
    assert "This part stopped: OutOfMemoryError" in page and "No figure" not in page
    assert report.loss_plot(results).startswith(b"\x89PNG")


def test_a_verdict_that_differs_is_found(assignment):
    """Code that goes wrong on the device alone: checks fail there that pass on the CPU, with TF32 off and on."""
    job = Job(case("(0 if DEVICE.index is None else 8)"), "7.1d")
    rows, words = differences(job, examine(assignment, job, OTHER))
    assert rows and not words
    assert {(row.cpu, row.device) for row in rows} == {("passed", "failed")}
    assert {row.tf32 for row in rows} == {"off", "on"}
    assert not any(differences(job, examine(assignment, job, "cpu")))


def test_a_verdict_that_hangs_on_tf32_is_found(assignment):
    """Code that goes wrong with TF32 alone differs in that round, and the setting is as it was afterwards."""
    before = torch.backends.cuda.matmul.allow_tf32
    job = Job(case("8 * torch.backends.cuda.matmul.allow_tf32"), "7.1d")
    rows = told_apart(differences(job, examine(assignment, job, OTHER))[0])
    assert rows and {row.tf32 for row in rows} == {"on"}
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_another_diagnosis_is_no_other_verdict():
    """A fault that is named otherwise on the device is told apart from one that costs other points."""
    cpu, device = (Verdict("failed", said, "") for said in ("The order is transposed.", "x and y are swapped."))
    examined = Examined({"order": cpu}, {"off": {"order": device}, "on": {"order": cpu}})
    rows, (row,) = differences(Job(case("0"), "7.1d"), examined)
    assert not rows and (row.check, row.tf32, row.cpu, row.device) == ("order", "off", cpu.diagnosis, device.diagnosis)


def test_a_device_that_broke_is_not_asked_again(assignment, monkeypatch):
    """After a round that spoilt the device there is no other, and it is said which one it was."""
    monkeypatch.setattr("data_scripts.gpu_report.examined.answers", lambda device: False)
    examined = examine(assignment, Job(case("0"), "7.1d"), OTHER)
    assert examined.broke == "off" and set(examined.device) == {"off"}


def test_a_device_that_is_not_there_does_not_answer():
    """What computes answers; what cannot be had does not, and is no error."""
    assert answers("cpu")
    assert not answers(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.slow
def test_a_case_that_dies_costs_its_own_verdict_alone(assignment):
    """A process that dies is told and replaced, and the next job has its verdict."""
    deadly = Job(case("(0 if DEVICE.index is None else __import__('os')._exit(3))"), "7.1d")
    with Processes(1, assignment, OTHER) as processes:
        (_, died), (job, examined) = processes.work([deadly, Job(case("0"), "7.1d")], 600, LATE)
    assert died == "Its process died (exit code 3)."
    rows, words = differences(job, examined)
    assert not told_apart(rows) and not words and examined.cpu


def test_a_case_that_hangs_is_given_up(assignment):
    """A job that takes too long has no verdict; nobody waits for it."""
    with Processes(1, assignment, OTHER) as processes:
        endless = Job(case("(0 if DEVICE.index is None else __import__('signal').pause())"), "7.1d")
        ((_, said),) = processes.work([endless], -1.0, LATE)
    assert said == "It did not end within -1 s."


def test_a_process_that_died_idle_is_told(assignment):
    """One that is gone before it gets its job costs that job's verdict, and stops nothing."""
    with Processes(1, assignment, OTHER) as processes:
        processes.lanes[0].process.kill()
        processes.lanes[0].process.join()
        ((_, said),) = processes.work([Job(case("0"), "7.1d")], 600, LATE)
    assert said == "Its process died (exit code -9)."


def test_no_verdict_is_a_difference():
    """A job without an answer is never fine."""
    part = verdicts.summary([(Job(case("0"), "7.1d"), "Its process died.")])
    assert part.differs == ["1 verdicts differ from the CPU's."]
    assert part.data["differences"][0]["device"] == verdicts.DIED


def test_right_code_that_fails_everywhere_is_told(assignment):
    """A right case whose check fails on both devices shows no difference, and must not pass in silence."""
    job = Job(case("1", kind="variant"), "7.1d")
    part = verdicts.summary([(job, examine(assignment, job, "cpu"))])
    assert part.data["differences"] == [] and part.data["right_that_fail"]
    assert part.differs == [f"{len(part.data['right_that_fail'])} checks fail on right code, on the CPU already."]


def test_verdicts_without_time_say_what_was_left_out(assignment, setting):
    """Where the time is up, what was not examined is counted, exercise by exercise."""
    part = compare(assignment, setting, deadline=time.monotonic())
    assert CUT.fullmatch(part.cut[0])
    assert "the time was up after 0 of" in part.cut[1] and "1 of 7.1d" in part.cut[1]


def test_cases_are_spread_over_all_kinds(assignment):
    """A few cases hold the solution, right and wrong ones, each once; what trains comes last."""
    every = chosen(assignment, None)
    few = chosen(assignment, 12)
    assert len(every) == len(load_proof(assignment)) - 1 and len({case.sample.student for case in few}) == 12
    assert few[0].kind == "solution" and {case.kind for case in few} == {"solution", "variant", "mutant", "unseen"}
    assert chosen(assignment, 1000) == every
    order = [job.exercise == "7.1j" for job in jobs(assignment, every)]
    assert order == sorted(order) and any(order)


def test_a_case_is_loaded_with_its_device(assignment):
    """`DEVICE` is what was asked for, whatever the notebook says, and all graded names are there."""
    namespace = load_case(assignment, chosen(assignment, 1)[0], OTHER)
    assert namespace["DEVICE"] == torch.device(OTHER)
    assert set(assignment.wanted) <= set(namespace)


def test_an_iteration_lasts_from_batch_to_batch():
    """The clock goes from one batch to the next, the last to the end; the first three do not count."""
    clock = iter([0.0, 9.0, 18.0, 27.0, 28.0, 30.0])
    timed = Timed([([], torch.zeros(0), torch.zeros(0))] * 5, clock=lambda: next(clock))
    assert len(list(timed)) == 5
    assert timed.iterations() == [1.0]
    timed.ended = 31.0
    assert timed.iterations() == [1.0, 3.0] and timed.seconds() == 2.0


def test_training_ends_at_its_deadline(setting, shapes):
    """What there is no time for is not trained, and that is said; the plan is cut before, and the rounds."""
    history, timed = train(Constant(), [], 5, setting, deadline=0.0)
    assert len(history) == 0 and timed.over
    part = overfit({"FCOS": Constant}, shapes, setting, deadline=0.0)
    assert part.cut == ["Overfit run: 0 of 2 iterations, then the time was up."] and part.data["first_loss"] is None
    hour = time.monotonic() + 3600
    part = recipes({"FCOS": Constant}, shapes, setting, hour, an_iteration=1e6)
    assert part.cut == ["Recipes: 1 iterations each in place of 2, for want of time."]
    assert [run["iterations"] for run in part.data["recipes"].values()] == [1, 1]
    twice = replace(setting, sizes=replace(TINY, timed_rounds=2))
    assert timing({"FCOS": Constant}, shapes, twice, deadline=0.0).cut == [
        "Timing: 1 of 2 rounds, then the time was up."
    ]


def test_ctrl_c_ends_all_of_it(setting):
    """`train_detector` takes Ctrl-C for the end of one training; here it is the end of the run."""

    def stopped():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        train(Constant(), stopped(), 5, setting, LATE)


def test_an_overfit_run_that_learns_nothing_differs(setting, shapes):
    """A whole run whose loss stays where it was is told."""
    whole = replace(setting, sizes=replace(TINY, overfit_iterations=500, batch=1))

    class Still(Constant):
        def forward(self, *_: object):
            return {"loss_cls": self.weight * 0 + 1}

    part = overfit({"FCOS": Still}, shapes, whole, LATE)
    assert part.differs == ["The overfit run did not learn: its last loss is more than half of its first."]


def test_nan_that_does_not_come_is_told(setting, shapes, monkeypatch):
    """A training that goes on where it should have stopped differs."""
    monkeypatch.setattr(nonfinite, "poison", lambda detector: None)
    part = nonfinite.forced({"FCOS": Constant}, shapes, setting, LATE)
    assert len(part.differs) == 2 and all(line.endswith("did not stop the training.") for line in part.differs)


def test_time_is_shared_out():
    """A part may take its share of what is left, and nothing once that is used up."""
    now = [0.0]
    budget = Budget(100, clock=lambda: now[0])
    assert budget.until(0.5) == 50
    now[0] = 60.0
    assert budget.until(0.5) == 80 and budget.used == 60
    now[0] = 200.0
    assert budget.until(0.5) == 200


def test_a_part_that_breaks_does_not_stop_the_others():
    """Its error is told, and kept with its traceback."""

    def broken():
        raise RuntimeError("CUDA out of memory")

    part = on_gpu.run_part("recipes", broken)
    assert part.differs == ["The part recipes stopped: RuntimeError: CUDA out of memory"]
    assert "in broken" in part.data["traceback"]


def test_without_cuda_it_says_so(tmp_path, capsys, monkeypatch):
    """A sentence, exit code 2, no folder; it says how to try without."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "out"
    assert on_gpu.main(["--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("There is no CUDA here: ") and "--pretend" in said and said.count("\n") == 1
    assert not out.exists()


def test_usage(tmp_path, capsys):
    """What cannot be is said before any work: a file for a folder, a folder without VOC, no time, no case."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert on_gpu.main(["--pretend", "--out", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err and (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert on_gpu.main(["--pretend", "--out", str(tmp_path / "out"), "--voc", str(tmp_path)]) == 2
    assert "voc07_train.json" in capsys.readouterr().err and not (tmp_path / "out").exists()
    for wrong in (["--minutes", "0"], ["--cases", "0"], ["--minutes", "soon"]):
        with pytest.raises(SystemExit) as ended:
            on_gpu.main(["--pretend", "--out", str(tmp_path / "out"), *wrong])
        assert ended.value.code == 2


def test_voc_is_taken_where_it_is(tmp_path):
    """With a folder of VOC the data are its images, and the report can say so."""
    write_voc(tmp_path, train=3, val=2)
    data = open_data(tmp_path, 64, keep=False)
    assert data.name == "VOC 2007, 64 pixels" and data.images == (3, 2)


def _old(folder: Path) -> dict[str, bytes]:
    """Results of an earlier run."""
    folder.mkdir()
    for name in (report.JSON, report.PAGE, report.PLOT):
        (folder / name).write_bytes(name.encode())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_that_is_stopped_leaves_old_results(tmp_path, capsys, monkeypatch):
    """Ctrl-C: a word, and the files of the earlier run are as they were."""

    def stopped(*_):
        raise KeyboardInterrupt

    before = _old(tmp_path / "out")
    monkeypatch.setattr(on_gpu, "measure", stopped)
    assert on_gpu.main(["--pretend", "--out", str(tmp_path / "out")]) == 130
    assert "Nothing was written" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_old_results(results, tmp_path, capsys, monkeypatch, there):
    """Where the last file cannot be written none is, and a new folder is taken away again."""
    before = _old(tmp_path / "out") if there else {}
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == report.PAGE:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(on_gpu, "measure", lambda *_: results)
    assert on_gpu.main(["--pretend", "--out", str(tmp_path / "out")]) == 2
    assert "No space left" in capsys.readouterr().err
    assert (tmp_path / "out").exists() == there
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("**/*")} == before


@pytest.mark.slow
def test_a_difference_is_exit_code_1(results, tmp_path, capsys, monkeypatch):
    """The results are written all the same, and what differs and what was cut is said at the end."""
    results["differs"] = ["1 verdicts differ from the CPU's."]
    monkeypatch.setattr(on_gpu, "measure", lambda *_: results)
    assert on_gpu.main(["--pretend", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "1 verdicts differ" in said and CUT.search(said) and report.PAGE in said
    assert (tmp_path / "out" / report.PAGE).is_file()


def test_numbers_that_are_none_are_null():
    """JSON has no NaN: such a number is null, and all others keep six digits."""
    assert json.loads(report.json_text({"a": [float("nan"), 1 / 3], 1: float("inf")})) == {
        "a": [None, 0.333333],
        "1": None,
    }
