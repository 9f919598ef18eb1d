"""Gradescope: the zip, what runs in its container, and `results.json`, in the form that Gradescope documents.

The container is a private root with `/autograder` laid out as documented: root, a user for student code, no network,
namespaces refused. Installing packages needs a network: there `setup.sh` meets programs that write down what they are
asked for, and grading uses the present environment in its place.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
from rich.console import Console

from autograder.course.assignment import PACKAGE, load_assignment
from autograder.course.digests import suites_digest
from autograder.gradescope import run
from autograder.gradescope.bundle import PYTHONS, UV, bundle_files, python_path, write_bundle
from autograder.gradescope.results import not_graded
from autograder.intake.submissions import find_submissions, submission_in
from autograder.runs.grade import grade_submissions
from autograder.runtime.errors import KitError
from tests.conftest import ROOT
from tests.gradescope.test_report_gradescope import hold_to_the_form, seen_by_the_student
from tests.grading.test_map import BY_HEART, shapes_book
from tests.support.private_root import private_root
from tests.support.small_course import small_course, write

MAP = """[map]
id = "7.1l"
title = "Mean average precision"
files = ["fcos_detector.safetensors"]
make = "FCOS"
arguments = [20, 8, [8]]
call = { test_score_thresh = 0.4, test_nms_thresh = 0.6 }
images = 6
image_size = 64

"""
# Tries what student code must not do, and says what worked.
SNOOPS = """
import os
import sys
def get_fpn_location_coords(shape_per_fpn_level, strides_per_fpn_level, dtype=None, device="cpu"):
    own, opened = os.path.dirname(os.getcwd()), []
    packages = "/opt/fcoskit/venv/lib/python%d.%d/site-packages" % sys.version_info[:2]
    for top in ("/autograder", "/run", "/tmp", packages + "/autograder"):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    open(path, "rb").close()
                    opened += [path] if not path.startswith(own) else []
                except OSError:
                    pass
    for path in ("/autograder/results/results.json", "/autograder/run_autograder", "/autograder/x", "/opt/fcoskit/x"):
        try:
            open(path, "a").close()
            opened.append("wrote " + path)
        except OSError:
            pass
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("environ", "mem"):
            try:
                open(f"/proc/{pid}/{name}", "rb").close()
                opened += [name] if os.stat(f"/proc/{pid}").st_uid != os.getuid() else []
            except OSError:
                pass
    raise RuntimeError(f"user {os.getuid()} reached {opened}")
"""


def bundle(assignment, out: Path) -> Path:
    """The zip, and nothing printed."""
    write_bundle(assignment, out, Console(file=io.StringIO()))
    return out


def lay_out(base: Path, zipped: Path, submission: Path | None = None) -> Path:
    """`/autograder` as Gradescope lays it out: the zip's content, its `run_autograder`, files handed in, metadata."""
    base.mkdir()
    base.chmod(0o755)
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(base / "source")
    shutil.copy(base / "source" / "run_autograder", base / "run_autograder")
    for script in ("run_autograder", "source/setup.sh", "source/run_autograder"):
        (base / script).chmod(0o755)
    (base / "results").mkdir()
    (base / "submission").mkdir() if submission is None else shutil.copytree(submission, base / "submission")
    told = {"id": 7, "users": [{"name": "Ada L.", "email": "ada@example.edu"}], "previous_submissions": []}
    (base / "submission_metadata.json").write_text(json.dumps(told))
    return base


def points_by_exercise(content: dict) -> dict[str, float]:
    """The checks' points added up."""
    found: dict[str, float] = {}
    for test in content["tests"]:
        if "number" in test:
            exercise = test["number"].rpartition(".")[0]
            found[exercise] = found.get(exercise, 0.0) + test["score"]
    return found


# The zip


@pytest.fixture(scope="module")
def zipped(tmp_path_factory) -> Path:
    """The zip of the real assignment."""
    return bundle(load_assignment("ps7", ROOT), tmp_path_factory.mktemp("gradescope") / "autograder.zip")


def test_what_the_zip_holds(zipped):
    """Scripts, the kit whole, the assignment, the helpers, the known faults, the lock; nothing else; staff's alone."""
    with zipfile.ZipFile(zipped) as archive:
        names = archive.namelist()
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
        assert archive.read("kit/requirements.lock") == (ROOT / "requirements.lock").read_bytes()
        assert json.loads(archive.read("not-graded.json")) == not_graded()
    tops = {"/".join(name.split("/")[:2]) for name in names}
    kit = {f"kit/{part}" for part in ("assignment", "autograder", "helpers", "requirements.lock")}
    assert tops == {"setup.sh", "run_autograder", "not-graded.json", "map.seed"} | kit
    assert {name.split("/")[4] for name in names if name.startswith("kit/assignment/ps7/proof/")} == {"mutants"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    sources = {f"kit/autograder/{p.relative_to(PACKAGE).as_posix()}" for p in PACKAGE.rglob("*.py")}
    assert sources <= set(names)
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    assert stat.S_IMODE(zipped.stat().st_mode) == 0o600


def test_the_zip_decides_as_this_machine_does(zipped, tmp_path, monkeypatch):
    """What decides a verdict is in there, letter by letter: the digest of the suites is the same."""
    assignment = load_assignment("ps7", ROOT)
    here = suites_digest(assignment)
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path)
    kit = tmp_path / "kit" / "autograder"
    monkeypatch.setattr("autograder.course.digests.PACKAGE", kit)
    there = load_assignment(None, tmp_path / "kit")
    assert there.suites == kit.parent / "assignment/ps7/suites" and suites_digest(there) == here
    (kit / "checks" / "result.py").write_text("")
    assert suites_digest(there) != here


def test_where_python_finds_the_packages(zipped):
    """The folders of the kit and of the students' packages, as the zip has them."""
    places = python_path(load_assignment("ps7", ROOT))
    assert places == ["/autograder/source/kit", "/autograder/source/kit/helpers"]
    with zipfile.ZipFile(zipped) as archive:
        assert f'export PYTHONPATH="{":".join(places)}"' in archive.read("run_autograder").decode()
        assert "kit/helpers/ps7_helpers/__init__.py" in archive.namelist()


def test_the_same_input_gives_the_same_zip(zipped, tmp_path):
    """Byte for byte, but for the seed, which is secret and stays when the zip is written again."""
    assignment = load_assignment("ps7", ROOT)
    other = bundle(assignment, tmp_path / "other.zip")
    seeds = []
    for path in (zipped, other):
        with zipfile.ZipFile(path) as archive:
            seeds.append(int(archive.read("map.seed")))
    assert seeds[0] != seeds[1]
    before = other.read_bytes()
    assert bundle(assignment, other).read_bytes() == before
    with zipfile.ZipFile(zipped) as one, zipfile.ZipFile(other) as two:
        assert {name: one.read(name) for name in one.namelist() if name != "map.seed"} == {
            name: two.read(name) for name in two.namelist() if name != "map.seed"
        }


@pytest.mark.parametrize("content", [b"a thesis", b""])
def test_a_file_that_is_not_ours_stays(tmp_path, content):
    """`--out` replaces a zip of this kit and nothing else."""
    out = tmp_path / "thesis.zip"
    out.write_bytes(content)
    with pytest.raises(KitError, match="no autograder zip of this kit"):
        bundle(load_assignment("ps7", ROOT), out)
    assert out.read_bytes() == content


def test_what_lies_outside_the_course_has_no_place(tmp_path, edit):
    """Images to measure weights by must lie in the course, or they would not be on Gradescope; so must they exist."""
    made = small_course(tmp_path / "course", "7.1d", verified_map=MAP)
    path = made.folder / "assignment.toml"
    images = tmp_path / "images"
    edit(path, "images = 6", f'folder = "{images}"\nimages = 6')
    with pytest.raises(KitError, match="is not there"):
        list(bundle_files(load_assignment("ps7", made.root)))
    images.mkdir()
    (images / "a.jpg").write_bytes(b"x")
    with pytest.raises(KitError, match="outside the course"):
        list(bundle_files(load_assignment("ps7", made.root)))
    images.rename(made.root / "held-out")
    edit(path, str(images), "held-out")
    assert "kit/held-out/a.jpg" in dict(bundle_files(load_assignment("ps7", made.root)))


# The scripts


def test_the_scripts_are_shell(zipped, tmp_path):
    """Bash parses both, and every blank in them is filled in."""
    with zipfile.ZipFile(zipped) as archive:
        for name in ("setup.sh", "run_autograder"):
            text = archive.read(name).decode()
            done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "") and text.startswith("#!/usr/bin/env bash\n")
            assert not re.search(r"@[A-Z]+@", text)


STUB = """#!/bin/bash
echo "$(basename "$0") $*" >> /autograder/asked
case "$0 $*" in
    *python3\\ -m\\ venv*|*uv\\ venv*)
        for last; do :; done
        mkdir -p "$last/bin"
        for name in pip uv python; do cp "$0" "$last/bin/$name"; done ;;
esac
"""


def test_setup_installs_the_lock_and_nothing_else(zipped, tmp_path):
    """It is run as root with programs that only write down what they are asked for."""
    base = lay_out(tmp_path / "autograder", zipped)
    (base / "stubs").mkdir()
    for name in ("apt-get", "python3"):
        (base / "stubs" / name).write_text(STUB)
        (base / "stubs" / name).chmod(0o755)
    done = private_root(base).run(
        "/autograder/source/setup.sh",
        variables={"PATH": "/autograder/stubs:/usr/bin:/bin"},
        extra=("--perms", "0755", "--tmpfs", "/opt/fcoskit"),
    )
    assert done.returncode == 0, done.stderr
    python = PYTHONS[sys.version_info[:2]]
    assert (base / "asked").read_text().splitlines() == [
        "apt-get update -q",
        "apt-get install -y -q --no-install-recommends ca-certificates libseccomp2 python3 python3-venv",
        "python3 -m venv /opt/fcoskit/tools",
        f"pip install --no-cache-dir --no-deps uv=={UV}",
        f"uv venv --managed-python --python {python} /opt/fcoskit/venv",
        "uv pip install --python /opt/fcoskit/venv/bin/python --no-deps --compile-bytecode "
        "-r /autograder/source/kit/requirements.lock",
        "python -c import pyseccomp, torch, torchvision",
    ]
    assert not [path for path in (base / "source").rglob("*") if path.stat().st_mode & 0o077]


# A container


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Two quick exercises, and weights that are soon measured."""
    return small_course(tmp_path_factory.mktemp("small") / "course", "7.1d", "7.1f", verified_map=MAP)


@pytest.fixture(scope="module")
def small_zip(course) -> Path:
    """Its zip."""
    return bundle(course, course.root / "autograder.zip")


def grade_in(base: Path, **options) -> tuple[int, dict, str]:
    """Run `run_autograder` as root in a private root: exit code, `results.json`, what it printed."""
    done = private_root(base, **options).run("/autograder/run_autograder")
    said = (done.stdout + done.stderr).decode(errors="replace")
    return done.returncode, hold_to_the_form(json.loads((base / "results" / "results.json").read_text())), said


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_the_same_points_as_fcoskit_grade(assignment, course, small_zip, tmp_path, slots):
    """A sample that loses points, under a browser's name for it: exercise by exercise what `fcoskit grade` gives."""
    name = "finn-stride-forgotten"
    submission = tmp_path / "class" / name
    write(name, tmp_path / "made").rename(_made(submission) / "fcos (1).ipynb")
    code, content, said = grade_in(lay_out(tmp_path / "autograder", small_zip, submission))
    assert code == 0, said
    found, _ = find_submissions([tmp_path / "class"], course.notebook, course.id, course.weights)
    others = tuple(e.id for e in assignment.exercises if e.id not in {kept.id for kept in course.exercises})
    found = [replace(submission, skip=others) for submission in found]
    report = grade_submissions(assignment, found, tmp_path / "graded", slots=slots).reports[name]
    assert points_by_exercise(content) == {exercise.id: exercise.points for exercise in report.exercises}
    assert 0 < content["score"] == report.score < course.max_score
    by_name = {test["name"]: test for test in content["tests"] if "number" in test}
    checks = [check for exercise in report.exercises for check in exercise.checks]
    assert {name: test["status"] == "passed" for name, test in by_name.items()} == {
        check.sentence: check.status == "passed" for check in checks
    }
    assert "not divided by the stride" in seen_by_the_student(content)
    assert "leaderboard" not in content and "7.1l mAP of your weights: not handed in" in content["output"]
    assert content["execution_time"] > 0


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@pytest.mark.slow
def test_code_that_looks_around_finds_nothing(small_zip, tmp_path):
    """A user of its own, file modes alone: nothing of the autograder is open to it. Its weights are measured."""
    submission = _made(tmp_path / "submission")
    (submission / "work.py").write_text(f"# %%\n{BY_HEART}\n# %%\n{SNOOPS}")
    with zipfile.ZipFile(small_zip) as archive:
        seed = int(archive.read("map.seed"))
    (submission / "fcos_detector.safetensors").write_bytes(safetensors.torch.save(shapes_book(seed)))
    base = lay_out(tmp_path / "autograder", small_zip, submission)
    code, content, said = grade_in(base, landlock=False)
    assert code == 0, said
    reached = set(re.findall(r"user (\d+) reached (\[[^\]]*\])", seen_by_the_student(content)))
    assert len(reached) == 1
    ((number, opened),) = reached
    assert int(number) >= 60600 and opened == "[]"
    assert content["score"] == 0 and sum(points_by_exercise(content).values()) == 0
    assert content["leaderboard"] == [{"name": "mAP (%)", "value": 100.0, "order": "desc"}]
    assert f"seed {seed}" in json.dumps(content) and str(seed) not in seen_by_the_student(content)
    assert (base / "submission" / "work.py").read_text().endswith(SNOOPS)


def test_without_any_sandbox_nothing_runs_and_it_is_our_fault(small_zip, tmp_path):
    """Neither namespaces nor another user: no score, words for the student, the reason for staff."""
    submission = _made(tmp_path / "submission")
    (submission / "fcos.py").write_text(f"# %%\n{SNOOPS}")
    base = lay_out(tmp_path / "autograder", small_zip, submission)
    done = private_root(base).run("/autograder/run_autograder", extra=("--cap-drop", "CAP_SETUID"))
    content = hold_to_the_form(json.loads((base / "results" / "results.json").read_text()))
    assert done.returncode == 1 and b"No working sandbox here" in done.stderr
    assert "Our fault" in seen_by_the_student(content)
    assert "score" not in content and not [test for test in content["tests"] if "score" in test]
    assert content["stdout_visibility"] == "hidden"


def test_a_grader_that_is_killed_leaves_words(small_zip, tmp_path):
    """`results.json` is there before Python starts: whatever ends it, there is no zero."""
    base = lay_out(tmp_path / "autograder", small_zip)
    hidden = ("--tmpfs", "/opt/fcoskit")  # not even Python
    assert private_root(base).run("/autograder/run_autograder", extra=hidden).returncode != 0
    assert hold_to_the_form(json.loads((base / "results" / "results.json").read_text())) == not_graded()


# What may lie in /autograder/submission


def graded_folder(base: Path, monkeypatch) -> dict:
    """`results.json` of what lies in `base/submission`, where no code of it can be run."""
    monkeypatch.setattr("autograder.runs.slots.Slot.start", lambda *_: pytest.fail("student code would have run"))
    (base / "source").mkdir()
    assert run.main(base) == 0
    return hold_to_the_form(json.loads((base / "results" / "results.json").read_text()))


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "No notebook in this folder"),
        (["photo.png", ".hidden/fcos.ipynb", "__MACOSX/fcos.ipynb"], "No notebook in this folder"),
        (["a.ipynb", "b.ipynb"], "2 submissions (a.ipynb, b.ipynb): hand in again, with the notebook that counts"),
        (["empty.zip"], "empty.zip: not a zip that can be opened"),
    ],
)
def test_nothing_that_can_be_graded(files, said, tmp_path, monkeypatch):
    """Zero, and words that say what to hand in."""
    (tmp_path / "submission").mkdir()
    for name in files:
        (tmp_path / "submission" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "submission" / name).write_bytes(b"")
    content = graded_folder(tmp_path, monkeypatch)
    assert content["score"] == 0 and said in content["output"]


def test_an_error_of_ours_is_no_zero(tmp_path, monkeypatch, capsys):
    """A fault of the engine: no score, the traceback for staff."""
    monkeypatch.setattr(run, "grade_submissions", lambda *_, **__: 1 / 0)
    (tmp_path / "submission").mkdir()
    (tmp_path / "source").mkdir()
    assert run.main(tmp_path) == 1
    content = hold_to_the_form(json.loads((tmp_path / "results" / "results.json").read_text()))
    assert "score" not in content and "ZeroDivisionError" in capsys.readouterr().err
    assert "Our fault" in content["output"] and "ZeroDivisionError" not in json.dumps(content)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["fcos.ipynb", "draft.ipynb"], "fcos.ipynb"),
        (["hw/deep/fcos (2).ipynb"], "fcos (2).ipynb"),
        (["solution.py"], "solution.py"),
        (["notes.md"], "notes.md"),
        (["in.zip!x/fcos.ipynb", "in.zip!x/draft.ipynb"], "fcos.ipynb"),
        (["in.zip!answer.ipynb", "fcos_detector.pt"], "answer.ipynb"),
    ],
)
def test_which_file_counts(names, chosen, tmp_path):
    """One notebook under any name, in any form, at any depth, in a zip; or the one that goes by the released name."""
    for name in names:
        outer, _, member = name.partition("!")
        path = tmp_path / outer
        path.parent.mkdir(parents=True, exist_ok=True)
        if member:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(member, "x = 1")
        else:
            path.write_text("x = 1")
    found = submission_in(tmp_path, "submission", "fcos")
    assert (found.problem, found.name, found.student) == ("", chosen, "submission")
    assert found.read(1) == b"x = 1"


def test_links_are_not_followed(tmp_path):
    """A link to the solution is nothing that was handed in."""
    (tmp_path / "fcos.ipynb").symlink_to(ROOT / "assignment" / "ps7" / "fcos.py")
    (tmp_path / "all.zip").symlink_to(ROOT / "requirements.lock")
    assert "No notebook" in submission_in(tmp_path, "submission", "fcos").problem


def test_the_command(tmp_path, edit):
    """`fcoskit gradescope --out FILE.zip` writes it and says what to do with it."""
    command = [sys.executable, "-m", "autograder.commands.cli", "gradescope", "--out", str(tmp_path / "a.zip")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "100 autograder points" in done.stdout and "keep it to staff" in done.stdout
    assert zipfile.is_zipfile(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_text("mine")
    done = subprocess.run(
        [*command[:-1], str(tmp_path / "b.zip")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "no autograder zip" in done.stderr and "Traceback" not in done.stderr


def test_no_zip_is_written_that_could_not_grade(course, tmp_path, edit):
    """Points that do not add up, a slip in a mutant: told to staff now, and not to each student by Gradescope."""
    out, console = tmp_path / "a.zip", Console(file=io.StringIO())
    mutants = course.proof / "mutants" / "7.1d.toml"
    edit(mutants, 'name = "grid-y-before-x"\n', 'name = "grid-y-before-x"\nlooses = "7.1d"\n')
    with pytest.raises(KitError, match="'grid-y-before-x' has an unknown setting 'looses'"):
        write_bundle(course, out, console)
    edit(mutants, 'looses = "7.1d"\n', "")
    fewer = replace(course, exercises=(replace(course.exercises[0], points=3.0), *course.exercises[1:]))
    with pytest.raises(KitError, match=r"The checks of 7\.1d add up to 10 points"):
        write_bundle(fewer, out, console)
    assert not out.exists()
