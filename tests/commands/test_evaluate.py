"""`fcoskit evaluate`: a table, plots where asked for, one clear line for bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from autograder.commands.evaluate import evaluate_folders
from autograder.runtime.errors import KitError
from tests.commands.test_cli import fcoskit_here


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two images; in one of them nothing was found."""
    truth, found = tmp_path / "truth", tmp_path / "found"
    for folder in (truth, found):
        folder.mkdir()
    (truth / "a.txt").write_text("car 10 10 50 50\n")
    (truth / "b.txt").write_text("car 10 10 50 50\n")
    (found / "a.txt").write_text("car 0.9 10 10 50 50\n")
    return truth, found


@pytest.mark.parametrize(("metric", "average"), [("voc10", "50.00%"), ("voc07", "54.55%")])
def test_the_table(assignment, folders, metric, average):
    """Objects, detections and average precision of each class, over all images, also those without detections."""
    console = Console(record=True, width=100)
    evaluate_folders(assignment, *folders, metric, console)
    text = console.export_text()
    assert [word for word in text.split() if word.endswith("%")] == ["50.0%", average, average]


def test_a_class_of_any_name(assignment, folders):
    """A class called like a tag of the terminal's is a name and nothing else."""
    for folder, line in zip(folders, ("[/cat] 10 10 50 50", "[/cat] 0.9 10 10 50 50"), strict=True):
        (folder / "a.txt").write_text(f"{line}\n")
    console = Console(record=True, width=100)
    evaluate_folders(assignment, *folders, "voc10", console)
    assert "[/cat]" in console.export_text()


def test_a_course_without_helpers(assignment, folders):
    """An assignment that ships nothing to evaluate with: a sentence, not a missing module."""
    with pytest.raises(KitError, match="no helpers that evaluate detections: there is no module ps1_checks"):
        evaluate_folders(replace(assignment, wheel="ps1_checks"), *folders, "voc10", Console(quiet=True))


def test_the_command(folders):
    """The command prints it, and fails with one line and code 2 where a folder or line is wrong."""
    done = fcoskit_here("evaluate", "--ground-truth", folders[0], "--detections", folders[1])
    assert done.returncode == 0 and "mAP" in done.stdout and "50.00%" in done.stdout
    (folders[1] / "b.txt").write_text("car x\n")
    done = fcoskit_here("evaluate", "--ground-truth", folders[0], "--detections", folders[1])
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "b.txt, line 1: expected class score" in done.stderr


def test_plots(assignment, folders, tmp_path):
    """Plots are written as pictures; the worst misses where the images are given."""
    images, out = tmp_path / "images", tmp_path / "plots"
    images.mkdir()
    Image.new("RGB", (80, 60)).save(images / "b.jpg")
    evaluate_folders(assignment, *folders, "voc10", Console(quiet=True), out, images)
    names = ["average-precision.png", "precision-recall.png", "worst-misses.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert all(Image.open(path).width > 200 for path in out.iterdir())


def test_bad_input(assignment, folders, tmp_path):
    """Folders that are not there, an unknown metric, images without plots, a picture that is missing."""
    quiet = Console(quiet=True)
    with pytest.raises(KitError, match="is not a folder"):
        evaluate_folders(assignment, folders[0], tmp_path / "nowhere", "voc10", quiet)
    with pytest.raises(KitError, match="'coco'"):
        evaluate_folders(assignment, *folders, "coco", quiet)
    with pytest.raises(KitError, match="needs --plots"):
        evaluate_folders(assignment, *folders, "voc10", quiet, None, tmp_path)
    with pytest.raises(KitError, match=r"no picture b\.jpg"):
        evaluate_folders(assignment, *folders, "voc10", quiet, tmp_path / "plots", folders[0])
    assert not (tmp_path / "plots").exists()
