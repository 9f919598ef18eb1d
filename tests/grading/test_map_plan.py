"""On what weights are measured: as they were made, by their architecture and by a note that is checked against it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.course.assignment import load_assignment
from autograder.course.map_settings import MapSettings
from autograder.grading.map_plan import Plan, plan_for
from autograder.intake.trained import Trained, trained_as
from autograder.parsing import budget
from autograder.runtime.errors import KitError
from tests.conftest import ROOT

OWN, OTHER = "a" * 64, "b" * 64
PHOTOS, DRAWN = "VOC2007Detection", "ShapesDetection"


@pytest.fixture(name="settings", scope="module")
def _settings() -> MapSettings:
    """The real table."""
    return load_assignment("ps7", ROOT).map


def plan(settings: MapSettings, wide: bool, note: Trained | None = None) -> Plan:
    """For weights of the detector that is trained with a GPU, or of the one without."""
    return plan_for(settings, settings.ways[0 if wide else 1], note, OWN)


def test_the_architecture_alone(settings, tmp_path):
    """Without a note: the small detector on small drawings at its threshold, the large one on photographs."""
    small = plan(settings, wide=False)
    assert (small.folder, small.image_size, small.problem) == (None, 64, "")
    assert dict(small.call)["test_score_thresh"] == 0.05
    assert small.told(200) == "These are 200 images drawn as `ShapesDetection` draws them, at 64 pixels."
    large = plan(replace(settings, folder=tmp_path), wide=True)
    assert (large.folder, large.image_size, dict(large.call)["test_score_thresh"]) == (tmp_path, 224, 0.4)
    assert large.told(9) == "These are 9 images of the course's own, at 224 pixels."


def test_weights_from_photographs_are_not_measured_on_drawings(settings):
    """Without photographs they are not measured, and read why; where they give points that is staff's to mend."""
    assert "Not measured" in plan(settings, wide=True).problem and "costs you nothing" in plan(settings, True).problem
    with_points = replace(settings, points=5.0, marks_at=(0.4,))
    assert "ours to mend" in plan(with_points, wide=True).problem


def test_a_note_tells_drawings_from_photographs(settings, tmp_path):
    """The large detector may have been trained on drawings: its note says so, and it is measured on them."""
    for folder in (None, tmp_path):
        got = plan(replace(settings, folder=folder), True, Trained(DRAWN, 224, OWN))
        assert (got.folder, got.image_size, got.problem, got.doubt) == (None, 224, "", "")
    assert plan(settings, True, Trained(PHOTOS, 224, OWN)).problem


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (Trained(DRAWN, 64, OWN), "made at 64 pixels; such weights come from training at 224"),
        (Trained(DRAWN, 224, OTHER), "about another file"),
    ],
)
def test_a_note_that_does_not_fit_does_not_count(settings, tmp_path, note, said):
    """Of another size than the architecture tells, or about another file: the architecture counts, and that is said."""
    got = plan(replace(settings, folder=tmp_path), True, note)
    assert (got.folder, got.image_size) == (tmp_path, 224) and said in got.told(5)


def test_for_points_all_are_measured_alike(settings, tmp_path):
    """Where there are points nobody picks the easier images by a note."""
    for_points = replace(settings, folder=tmp_path, points=5.0, marks_at=(0.4,))
    assert plan(for_points, True, Trained(DRAWN, 224, OWN)).folder == tmp_path
    assert plan(for_points, False).folder == tmp_path


@pytest.mark.parametrize("data", [PHOTOS, "Mine"])
def test_for_points_no_note_holds_the_score_up(settings, data):
    """One that names images which the course does not keep: the small detector is measured on drawings all the same."""
    for_points = replace(settings, points=5.0, marks_at=(0.4,))
    assert plan(for_points, False, Trained(data, 64, OWN)) == plan(for_points, False)
    assert plan(for_points, True, Trained(DRAWN, 224, OWN)).problem == ""


def test_a_table_without_ways(settings, tmp_path):
    """An assignment that says nothing of how weights are made measures all alike, as ever."""
    plain = replace(settings, trained=(), drawn="")
    assert plan(plain, True) == Plan("", None, 224, settings.call)
    assert plan(replace(plain, folder=tmp_path), True).folder == tmp_path


@pytest.mark.parametrize(
    "note",
    [
        {"data": DRAWN, "image_size": 64},
        {"data": "a b", "image_size": 64, "sha256": OWN},
        {"data": 1, "image_size": 64, "sha256": OWN},
        {"data": DRAWN, "image_size": True, "sha256": OWN},
        {"data": DRAWN, "image_size": 10**9, "sha256": OWN},
        {"data": DRAWN, "image_size": 64, "sha256": "x"},
        [DRAWN],
        None,
    ],
)
def test_a_note_of_another_form_is_none(note):
    """What a student wrote into the metadata by hand is read only if it has the form of ours."""
    data = json.dumps({"metadata": {"fcoskit": {"weights": note}}}).encode()
    assert trained_as(data, ".ipynb") is None


def test_a_note_is_read_within_the_budget(monkeypatch):
    """A notebook that takes more memory than reading may has none; nothing else of ours is in danger."""
    monkeypatch.setattr(budget, "READ_MEGABYTES", 64)
    data = b'{"x": [' + b'{"":0},' * 2 * 10**6 + b"0]}"
    assert trained_as(data, ".ipynb") is None


@pytest.mark.parametrize("data", [b"", b"[" * 10**6, b"{}", b"null", b"\xff", b'{"metadata": {"fcoskit": 3}}'])
def test_a_notebook_without_a_note(data):
    """Nor is anything else."""
    assert trained_as(data, ".ipynb") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('64]], data = "ShapesDetection"', '65]], data = "ShapesDetection"', "which .map. arguments does not have"),
        ("image_size = 64", 'image_size = "64"', "image_size in trained of .map. must be a whole number"),
        ("image_size = 64", "images_size = 64", 'unknown setting "images_size"'),
        ('data = "VOC2007Detection"', "data = 3", "data in trained of .map. has to be a text"),
    ],
)
def test_a_slip_in_the_table_is_told(course, edit, old, new, said):
    """A TA's mistake in `trained` is a sentence."""
    edit(Path(course.folder) / "assignment.toml", old, new)
    with pytest.raises(KitError, match=said):
        load_assignment("ps7", course.root)
