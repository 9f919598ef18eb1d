"""A fault is charged once where it explains what failed, and nothing that imitates one gets its price."""

import contextlib
import io

import pytest
import torch

from autograder.checks.collecting import collect
from autograder.checks.result import ExerciseResult
from autograder.checks.runner import SuitePlugin
from autograder.course.assignment import load_assignment
from autograder.course.rubric import Rubric
from autograder.grading.charges import Charging
from autograder.grading.faults import FaultBook
from autograder.grading.substitutes import load_solution
from autograder.report.prices import apply_rubric
from tests.conftest import ROOT

SWAPPED = ("torch.stack([grid_x, grid_y], dim=-1)", "torch.stack([grid_y, grid_x], dim=-1)")
CORNERS = (
    (
        "rows = (torch.arange(height, dtype=dtype, device=device) + 0.5) * level_stride",
        "rows = torch.arange(height, dtype=dtype, device=device) * level_stride",
    ),
    (
        "columns = (torch.arange(width, dtype=dtype, device=device) + 0.5) * level_stride",
        "columns = torch.arange(width, dtype=dtype, device=device) * level_stride",
    ),
)
RETURN = "    return location_coords"
ZEROS = "{k: torch.zeros_like(v) for k, v in location_coords.items()}"


def returning(where: str) -> tuple[str, str]:
    """A change: zeros are returned for some shapes."""
    return RETURN, f"    if {where}:\n        return {ZEROS}\n{RETURN}"


CASES = {
    "right": (),
    "swapped": (SWAPPED,),
    "two at once": (SWAPPED, *CORNERS),
    "in half of its places": (CORNERS[0],),
    "typed in": (SWAPPED, returning("shape_per_fpn_level['p3'][2] != 28")),
    "garbage in one check": (SWAPPED, returning("shape_per_fpn_level['p3'][2] == 1")),
    "a table": ((RETURN, "    globals().setdefault('kept', location_coords)\n    return globals()['kept']"),),
    "nothing": ((RETURN, "    return None"),),
    "an error": ((RETURN, "    raise ValueError('x and y are swapped')"),),
    "names a fault": ((RETURN, "    raise AttributeError(\"module 'torch' has no attribute 'mesh_grid'\")"),),
}


@pytest.fixture(name="results", scope="module")
def _results():
    """What each of the cases comes to, by name, with what the known faults cost where no rubric has a price."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assignment, found = load_assignment("ps7", ROOT), {}
    exercise = assignment.exercise("7.1d")

    def solution(changes):
        with contextlib.redirect_stdout(io.StringIO()):
            return load_solution(assignment, exercise, changes=changes)

    def serve(plugin):
        charging = Charging(FaultBook(assignment), plugin)
        for name, changes in CASES.items():
            checks = plugin.run(exercise.id, solution(changes), 3)
            found[name] = ExerciseResult(exercise.id, exercise.title, exercise.points, checks)
            charging.charge(found[name], plugin.heard, 3)
            apply_rubric(found[name], Rubric({}, {}))

    plugin = SuitePlugin(assignment.reference, serve, lambda _: solution(()), listen=True)
    collect([assignment.suites / part / "test_7_1d.py" for part in ("public", "hidden")], plugin)
    torch.set_num_threads(threads)
    return found


def test_what_is_kept_of_other_submissions_changes_nothing():
    """One that has charged many submissions, of one seed and of another, comes to what one that has met none does."""
    assignment, threads = load_assignment("ps7", ROOT), torch.get_num_threads()
    torch.set_num_threads(1)
    exercise, told = assignment.exercise("7.1d"), {}

    def charged(charging, plugin, changes, seed):
        with contextlib.redirect_stdout(io.StringIO()):
            checks = plugin.run(exercise.id, load_solution(assignment, exercise, changes=changes), seed)
        result = ExerciseResult(exercise.id, exercise.title, exercise.points, checks)
        charging.charge(result, plugin.heard, seed)
        return [(check.name, check.status, check.faults, check.diagnosis) for check in result.checks], result.dearest

    def serve(plugin):
        book = FaultBook(assignment)
        old = Charging(book, plugin)
        for seed in (3, 3, 4, 3):
            for name, changes in CASES.items():
                known, new = charged(old, plugin, changes, seed), charged(Charging(book, plugin), plugin, changes, seed)
                told.setdefault(name, []).append((known, new))

    plugin = SuitePlugin(assignment.reference, serve, lambda _: load_solution(assignment, exercise), listen=True)
    collect([assignment.suites / part / "test_7_1d.py" for part in ("public", "hidden")], plugin)
    torch.set_num_threads(threads)
    assert [name for name, pairs in told.items() if any(known != new for known, new in pairs)] == []
    assert told["swapped"][0][0][1] and told["two at once"][3][0][1]


def worth(result):
    """Points of the checks that did not pass."""
    return sum(check.lost for check in result.checks)


def test_a_right_solution_is_charged_with_nothing(results):
    """Nothing is looked for where nothing fails."""
    assert results["right"].points == results["right"].max_points and not results["right"].charges


def test_a_known_fault_costs_its_price_in_however_many_checks(results):
    """The default is the dearest check that the fault fails by itself."""
    swapped = results["swapped"]
    failed = [check for check in swapped.checks if check.status != "passed"]
    assert len(failed) > 3 and all(check.faults == ["grid-y-before-x"] for check in failed)
    assert swapped.max_points - swapped.points == max(check.points for check in failed) < worth(swapped)


def test_two_faults_at_once_are_both_charged(results):
    """Where neither of them alone explains a check, the two together do."""
    assert [c.fault for c in results["two at once"].charges] == ["grid-y-before-x", "grid-top-left-corners"]


def test_a_fault_in_half_of_its_places_is_that_fault(results):
    """The corner in one coordinate alone is named and priced like the corner in both."""
    assert [c.fault for c in results["in half of its places"].charges] == ["grid-top-left-corners"]


@pytest.mark.parametrize("name", ["typed in", "a table", "nothing", "an error", "names a fault"])
def test_what_only_imitates_a_fault_pays_for_every_check(results, name):
    """Answers to the inputs that are handed out, nothing at all, and errors explain no check."""
    result = results[name]
    assert not result.charges and result.max_points - result.points == worth(result) > 0


def test_garbage_beside_a_known_fault_is_paid_for_in_full(results):
    """A check that the fault does not explain costs its own points, besides the price."""
    result, honest = results["garbage in one check"], results["swapped"]
    garbage = next(check for check in result.checks if check.name == "one_row_and_one_column")
    assert not garbage.faults and [c.fault for c in result.charges] == ["grid-y-before-x"]
    assert result.points == honest.points - garbage.points


@pytest.mark.parametrize("scaled", [("c3",), ("c3", "c4"), ("c3", "c4", "c5")], ids="+".join)
def test_which_levels_are_wrong_names_no_fault(scaled):
    """A pyramid whose values alone are wrong on some levels is not told of a fault that is wrong on the same ones."""
    assignment, found = load_assignment("ps7", ROOT), []
    exercise = assignment.exercise("7.1b")
    maps = "backbone_feats = self.backbone(images)"
    more = f"backbone_feats |= {{name: 1.5 * backbone_feats[name] for name in {scaled}}}"

    def solution(changes):
        with contextlib.redirect_stdout(io.StringIO()):
            return load_solution(assignment, exercise, changes=changes)

    def serve(plugin):
        checks = plugin.run(exercise.id, solution(((maps, f"{maps}\n        {more}"),)), 3)
        found.append(ExerciseResult(exercise.id, exercise.title, exercise.points, checks))
        Charging(FaultBook(assignment), plugin).charge(found[0], plugin.heard, 3)

    plugin = SuitePlugin(assignment.reference, serve, lambda _: solution(()), listen=True)
    collect([assignment.suites / part / "test_7_1b.py" for part in ("public", "hidden")], plugin)
    failed = {check.name: check.diagnosis for check in found[0].checks if check.status == "failed"}
    assert "values" in failed and not any(failed.values()), failed
