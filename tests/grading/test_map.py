"""mAP verified: what weights that are handed in come to, honest ones and others."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision import models

from autograder.checks.result import Figure
from autograder.course.assignment import load_assignment
from autograder.grading.map_score import Asked, detector_answers, expect_images, measure
from autograder.intake.weights import Weights
from autograder.parsing.cells import read_notebook
from autograder.release.build import solved_notebook
from autograder.runtime.errors import KitError, StudentError
from autograder.sandbox.host import Host
from ps7_helpers.dataset import VOC2007Detection
from ps7_helpers.evaluation import ImageDetections, ImageTruth, evaluate_detections
from ps7_helpers.shapes import ShapesDetection, write_voc
from ps7_helpers.voc import read_annotation
from suites.hidden.held_out import HeldOut, checked
from tests.conftest import ROOT

SMALL = {"images": 6, "image_size": 64, "seconds": 60, "arguments": ((20, 8, [8]), (20, 4, [4]))}

# A detector whose weights are a book of images and boxes: it finds what it knows by heart.
BY_HEART = """
import torch
from torch import nn
class FCOS(nn.Module):
    def __init__(self, num_classes, fpn_channels, stem_channels):
        super().__init__()
        self.register_buffer("known", torch.zeros(fpn_channels))
        self.register_buffer("rows", torch.zeros(fpn_channels, 3, 6))
    def forward(self, images, gt_boxes=None, test_score_thresh=None, test_nms_thresh=None):
        assert not self.training and len(images) == 1 and (test_score_thresh, test_nms_thresh) == (0.4, 0.6)
        same = (self.known - images.double().abs().sum().float()).abs() < 1e-2
        rows = self.rows[same].reshape(-1, 6)
        return self.changed(rows[:, :4], rows[:, 4].long(), rows[:, 5])
    def changed(self, boxes, classes, scores):
        return boxes, classes, scores
"""


@pytest.fixture(scope="module")
def assignment():
    """The assignment, with few and small images."""
    loaded = load_assignment("ps7", ROOT)
    return dataclasses.replace(loaded, map=dataclasses.replace(loaded.map, **SMALL))


@pytest.fixture(scope="module")
def host(assignment, sandbox_once) -> Iterator[Host]:
    """One sandbox for the whole module, as in a slot."""
    made = Host(assignment)
    yield made
    made.close()


Measure = Callable[..., Figure]


@pytest.fixture(name="measured")
def _measured(assignment, host, tmp_path) -> Measure:
    """Measure a notebook of one cell with a file of weights; settings of `[map]` may be changed."""

    def run(source: str, data: bytes | None, name: str = "fcos_detector.safetensors", seed: int = 5, **changed: object):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        settings = dataclasses.replace(assignment.map, **changed)
        cells = read_notebook(b"# %%\n" + textwrap.dedent(source).encode(), ".py")
        weights = Weights(name, path) if data is not None else None
        return measure(dataclasses.replace(assignment, map=settings), settings, cells, host, Asked(weights, seed))

    return run


def book(images: dict[int, tuple[torch.Tensor, torch.Tensor]], size: int = 8) -> dict[str, torch.Tensor]:
    """The state dict of `BY_HEART`: for each place an image and its `(N, 6)` of box, class, score, at most 3."""
    known, rows = torch.zeros(size), torch.zeros(size, 3, 6)
    for place, (image, found) in images.items():
        known[place] = image.double().abs().sum().float()
        rows[place, : len(found)] = found
    return {"known": known, "rows": rows}


def shapes_book(seed: int, length: int = 6) -> dict[str, torch.Tensor]:
    """The right boxes of the drawn images of a seed."""
    data = ShapesDetection("val", image_size=64, length=length, seed=seed)
    rows = [(image, boxes[boxes[:, 4] >= 0]) for _, image, boxes in (data[i] for i in range(length))]
    return book({i: (image, torch.cat([b, torch.ones(len(b), 1)], dim=1)) for i, (image, b) in enumerate(rows)})


def saved(state: dict[str, torch.Tensor]) -> bytes:
    """As `torch.save` writes it."""
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def zeros(size: int = 8) -> bytes:
    """Weights of `BY_HEART` that know nothing."""
    return safetensors.torch.save(book({}, size))


@pytest.mark.parametrize("name", ["fcos_detector.safetensors", "fcos_detector.pt"])
def test_right_boxes_give_all(measured, name):
    """A detector that finds every object has a mAP of 1, whichever way its weights were written."""
    state = shapes_book(5)
    figure = measured(BY_HEART, safetensors.torch.save(state) if name.endswith("s") else saved(state), name)
    assert (figure.status, figure.value, figure.images, figure.seed) == ("measured", 1.0, 6, 5), figure
    assert figure.file == name and len(figure.sha256) == 64 and figure.seconds > 0
    assert figure.message == "These are 6 images drawn as `ShapesDetection` draws them, at 64 pixels."


def test_other_images_give_nothing(measured):
    """The same weights know nothing of the images of another seed."""
    figure = measured(BY_HEART, safetensors.torch.save(shapes_book(5)), seed=6)
    assert (figure.status, figure.value) == ("measured", 0.0)


def test_the_figure_is_the_evaluators(measured, tmp_path):
    """On a folder of images it is VOC's mAP in original coordinates, difficult objects neither right nor wrong."""
    voc = write_voc(tmp_path / "data", train=2, val=8, seed=3)
    data = VOC2007Detection(tmp_path / "data", "val", image_size=64)
    images, truth, found = {}, {}, {}
    generator = torch.Generator().manual_seed(0)
    for index in range(8):
        path, image, boxes = data[index]
        boxes = boxes[boxes[:, 4] >= 0][:3]
        boxes[:, :4] += 3 * torch.randn(len(boxes), 4, generator=generator)  # some still overlap by half
        rows = torch.cat([boxes, torch.rand(len(boxes), 1, generator=generator)], dim=1)
        images[index] = (image, rows if index % 4 else rows[:0])
        objects = read_annotation(voc / "Annotations" / f"{Path(path).stem}.xml")
        truth[path] = ImageTruth([o.name for o in objects], [o.xyxy for o in objects], [o.difficult for o in objects])
        rows = images[index][1]
        names = [data.idx_to_class[int(label)] for label in rows[:, 4]]
        found[path] = ImageDetections(names, rows[:, 5].numpy(), data.to_original(path, rows[:, :4]).numpy())
    assert any(any(image.difficult) for image in truth.values())
    expected = evaluate_detections(truth, found).mean_ap
    assert 0.05 < expected < 0.95
    for seed in (1, 2):
        figure = measured(
            BY_HEART, safetensors.torch.save(book(images)), folder=tmp_path / "data", images=200, seed=seed
        )
        assert (figure.status, figure.images) == ("measured", 8), figure
        assert figure.value == pytest.approx(expected, abs=1e-6)  # whatever order the seed gives


def test_a_seed_picks_some_of_a_folder(tmp_path):
    """Another seed picks other images of the folder and the same seed the same, none twice."""
    write_voc(tmp_path, train=0, val=12, seed=3)

    def picked(seed: int) -> list[bytes]:
        chosen = HeldOut(tmp_path, 5, 32, seed)
        images = [image.numpy().tobytes() for batch in chosen.batches(2) for image in batch]
        assert len(images) == len(chosen) == 5
        return images

    assert picked(1) == picked(1) != picked(2) and len(set(picked(1))) == 5


def test_a_split_for_tests_is_preferred(tmp_path):
    """Where the folder has a `test.txt`, its images count; without any list, all that are annotated."""
    voc = write_voc(tmp_path, train=2, val=3)
    lists = voc / "ImageSets" / "Main"
    assert len(HeldOut(tmp_path, 9, 32, 0)) == 3
    (lists / "test.txt").write_text("000001\n")
    assert len(HeldOut(voc, 9, 32, 0)) == 1
    for path in lists.iterdir():
        path.unlink()
    assert len(HeldOut(voc, 9, 32, 0)) == 5


def test_drawing_the_images_oneself_gains_nothing(measured):
    """Code that draws the built-in images and looks an image up finds it only if it knows the seed, which is secret."""
    cheat = """
    import torch
    from torch import nn
    from ps7_helpers import ShapesDetection
    class FCOS(nn.Module):
        def __init__(self, num_classes, fpn_channels, stem_channels):
            super().__init__()
            self.register_buffer("one", torch.zeros(fpn_channels))
        def forward(self, images, test_score_thresh=None, test_nms_thresh=None):
            for seed in range(3):
                for split in ("val", "train"):
                    data = ShapesDetection(split, image_size=64, length=6, seed=seed)
                    for index in range(6):
                        _, image, boxes = data[index]
                        if torch.equal(image, images[0]):
                            boxes = boxes[boxes[:, 4] >= 0]
                            return boxes[:, :4], boxes[:, 4].long(), torch.ones(len(boxes))
            return torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0)
    """
    data = safetensors.torch.save({"one": torch.zeros(8)})
    assert measured(cheat, data, seed=1).value == 1.0  # the cheat works where the seed can be guessed
    assert measured(cheat, data, seed=6_148_914_691_236_517_205).value == 0.0


def test_the_solution_with_weights_of_chance(assignment, host, tmp_path, monkeypatch):
    """The whole of the real detector is made, loaded and run; untrained, it finds next to nothing."""
    untrained = models.regnet_x_400mf
    monkeypatch.setattr(models, "regnet_x_400mf", lambda *args, **kwargs: untrained(weights=None))  # no download
    import nbformat

    source = nbformat.writes(solved_notebook(assignment)).encode()
    cells = read_notebook(source, ".ipynb")
    namespace: dict[str, object] = {}
    exec(_definitions(cells), namespace)
    torch.manual_seed(0)
    settings = dataclasses.replace(assignment.map, arguments=((20, 32, [32]), (20, 16, [16])), images=3)
    state = namespace["FCOS"](20, 16, [16]).state_dict()
    (tmp_path / "fcos_detector.pt").write_bytes(saved(state))
    asked = Asked(Weights("fcos_detector.pt", tmp_path / "fcos_detector.pt"), 1)
    figure = measure(assignment, settings, cells, host, asked)
    assert figure.status == "measured" and 0 <= figure.value < 0.1, figure


def _definitions(cells) -> str:
    """Imports, functions and classes of a notebook of ours."""
    import ast

    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    trees = [ast.parse(cell.source) for cell in cells if not cell.problem]
    kept = [node for tree in trees for node in tree.body if isinstance(node, kinds)]
    aliases = [n for t in trees for n in t.body if isinstance(n, ast.Assign) and "TensorDict" in ast.unparse(n)]
    imports = [node for node in kept if isinstance(node, (ast.Import, ast.ImportFrom))]
    rest = [node for node in kept if node not in imports]
    return "\n".join(map(ast.unparse, [*imports, *aliases[:1], *rest]))


def test_nothing_handed_in(measured):
    """Without weights the figure says so, and which files were looked for."""
    figure = measured(BY_HEART, None)
    assert (figure.status, figure.value) == ("absent", None)
    assert "`fcos_detector.safetensors` or `fcos_detector.pt`" in figure.message


def test_other_sizes_fit_as_well(measured):
    """The second list of arguments counts where the weights fit that."""
    assert measured(BY_HEART, zeros(4)).status == "measured"


def test_wrong_sizes_are_named(measured):
    """Weights of a detector of other sizes are refused, with the tensor and both sizes."""
    figure = measured(BY_HEART, zeros(5))
    assert figure.status == "refused"
    assert "`FCOS(20, 8, [8])`" in figure.message and "known (5 in the file, 8 in your detector)" in figure.message
    assert "Was it trained with other sizes?" in figure.message


def test_wrong_keys_are_named(measured):
    """Missing and unknown tensors are told apart."""
    state = book({})
    figure = measured(BY_HEART, safetensors.torch.save({"known": state["known"], "boxes": torch.zeros(1)}))
    assert figure.status == "refused"
    assert "1 of 2 tensors are not in the file: rows." in figure.message
    assert "The file has 1 that your detector does not have: boxes." in figure.message


def test_a_checkpoint_with_more_in_it(measured):
    """Weights that a checkpoint wraps with its iteration are found."""
    assert measured(BY_HEART, saved({"model": shapes_book(5), "iteration": 3}), "fcos_detector.pt").value == 1.0


class Poison:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        """See pickle."""
        return os.system, (self.command,)


@pytest.mark.parametrize("write", [lambda p: saved({"known": p}), pickle.dumps], ids=["torch", "pickle"])
def test_a_poisoned_pickle_does_nothing(measured, tmp_path, write):
    """It is refused in the sandbox and never opened here: no command runs, no file appears."""
    mark = tmp_path / "mark"
    data = write(Poison(f"touch {mark} /tmp/fcoskit-mark"))
    figure = measured(BY_HEART, data, "fcos_detector.pt")
    assert figure.status == "refused" and "more than tensors, which is never loaded" in figure.message
    assert not mark.exists() and not Path("/tmp/fcoskit-mark").exists()
    pickle.loads(pickle.dumps(Poison(f"touch {mark}")))
    assert mark.exists()  # the poison is one


MARKED = BY_HEART.replace(
    "super().__init__()", "super().__init__(); import os; assert not os.path.exists('/tmp/mark'), 'it ran'"
)
CARELESS = """
load = torch.load
torch.load = lambda *args, **kwargs: load(*args, **{**kwargs, "weights_only": False})
"""


@pytest.mark.parametrize(("more", "status"), [("", "refused"), (CARELESS, "error")])
def test_a_pickle_does_not_run_in_the_sandbox_either(measured, more, status):
    """Between the first try and the second nothing has run there, unless the student's own code sees to that."""
    data = saved({"known": Poison("touch /tmp/mark"), "rows": torch.zeros(1)})
    source = MARKED.replace("class FCOS", f"{more}\nclass FCOS", 1)
    figure = measured(source, data, "fcos_detector.pt")
    assert figure.status == status, figure
    assert ("it ran" in figure.message) == (status == "error") and not Path("/tmp/mark").exists()


@pytest.mark.parametrize("name", ["fcos_detector.safetensors", "fcos_detector.pt"])
@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"<html>no</html>" * 9])
def test_damaged_weights_are_refused(measured, name, damage):
    """Cut short, empty or something else: a clear word, no crash."""
    figure = measured(BY_HEART, damage(zeros() if name.endswith("s") else saved(book({}))), name)
    assert figure.status == "refused" and "damaged or cut short" in figure.message, figure


def test_no_state_dict(measured):
    """A tensor alone is no state dict."""
    figure = measured(BY_HEART, saved(torch.zeros(3)), "fcos_detector.pt")
    assert figure.status == "refused" and "holds no state dict" in figure.message


def test_too_large_weights_are_not_read(measured):
    """A file over the limit is refused before anything looks into it."""
    figure = measured(BY_HEART, bytes(2 * 2**20), weights_megabytes=1)
    assert figure.status == "refused" and "larger than 1 MB" in figure.message and not figure.sha256


def changed(line: str) -> str:
    """`BY_HEART` with other code where it returns."""
    body = "\n".join(f"        {part}" for part in line.splitlines())
    return BY_HEART.replace("        return boxes, classes, scores", body)


def test_nan_is_left_out(measured):
    """Detections with NaN, infinity or no such class are left out and counted; the others count as they are."""
    source = changed("""
bad = torch.tensor([[float("nan"), 0, 9, 9], [0, 0, float("inf"), 9], [0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]])
boxes, classes = torch.cat([bad, boxes]), torch.cat([torch.tensor([1, 1, 1, 99, -1]), classes])
return boxes, classes, torch.cat([torch.tensor([1, 1, float("nan"), 1, 1]), scores])""")
    figure = measured(source, safetensors.torch.save(shapes_book(5)))
    assert (figure.status, figure.value) == ("measured", 1.0)
    assert "at 64 pixels. 30 detections were left out" in figure.message


def test_a_million_detections_an_image(measured):
    """Only the best by score are kept, in the sandbox already."""
    source = changed("""
more = torch.zeros(10**6, 4)
scores = torch.cat([torch.full((10**6,), 0.5), scores])
return torch.cat([more, boxes]), torch.cat([torch.zeros(10**6).long(), classes]), scores""")
    figure = measured(source, safetensors.torch.save(shapes_book(5)))
    assert (figure.status, figure.value) == ("measured", 1.0), figure


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("while True: pass", "timeout", "Stopped after 2 s"),
        ("torch.zeros(10**11)", "memory", "ran out of memory"),
        ("import os; os._exit(3)", "error", "ended by itself (exit 3)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "error", "ended by signal 11"),
        ("raise KeyError('seen: ' + str(boxes))", "error", "Your code raised KeyError in code cell 1, line"),
        ("return boxes, scores", "error", "must return boxes (N, 4)"),
        ("return boxes[:, :3].new_zeros(2, 3), scores, scores", "error", "the shapes are"),
        ("return None", "error", "must return boxes (N, 4)"),
        ("return object(), 1, 2", "error", "neither numbers nor tensors"),
    ],
)
def test_failures_are_said(measured, line, status, said):
    """Whatever the detector does, there is a figure that says it; its own words stay with staff once it saw images."""
    figure = measured(changed(line), zeros(), seconds=2 if status == "timeout" else 60)
    assert (figure.status, figure.value) == (status, None), figure
    assert said in figure.message and "seen:" not in figure.message
    assert figure.details.startswith("After 0 of 6 images")


def test_a_detector_that_is_not_there(measured):
    """A notebook without the class has no figure, and says why."""
    figure = measured("x = 1", zeros())
    assert figure.status == "missing" and "does not define `FCOS`" in figure.message


def test_a_fault_of_ours_is_ours(measured, tmp_path):
    """Where the grader breaks, as without its images, the figure says so and the traceback is for staff."""
    figure = measured(BY_HEART, zeros(), folder=tmp_path / "gone")
    assert figure.status == "grader_error" and "our fault" in figure.message and "FileNotFound" in figure.details
    assert "gone" not in figure.message


def test_an_answer_for_every_image():
    """A process that answers for fewer images than it was sent is not believed."""

    class Liar:
        def do(self, operation: str, **_: object) -> list[None]:
            return [None]

    settings = load_assignment("ps7", ROOT).map
    with pytest.raises(StudentError, match="did not answer for every image"):
        detector_answers(Liar(), type("Handle", (), {"number": 0}), [torch.zeros(1)] * 2, settings)


def test_answers_are_cut_here_too():
    """The most detections that count are held on this side of the wall as well, the best first."""
    scores = torch.rand(50)
    three, odd = checked((torch.zeros(50, 4), torch.zeros(50), scores), most=7)
    assert odd == 0 and torch.equal(three[2], scores.double().sort(descending=True).values[:7])


def test_a_folder_that_is_none(assignment, tmp_path):
    """A folder without VOC's layout stops the run before anybody is graded, and says whose it is to mend."""
    settings = dataclasses.replace(assignment.map, folder=tmp_path)
    with pytest.raises(KitError, match=r"not in VOC's layout.*A TA has to mend it"):
        expect_images(dataclasses.replace(assignment, map=settings))
