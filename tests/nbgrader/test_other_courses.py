"""A course that has its own nbgrader, and what is missing or odd in a course folder: the kit keeps to its own."""

from __future__ import annotations

import importlib
import logging
import zipfile
from unittest.mock import Mock

import nbformat
import pytest
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from tornado.httputil import HTTPServerRequest, RequestStartLine
from tornado.web import Application

from autograder.nbgrader.converters import KitAutograde
from autograder.nbgrader.formgrader import KitAPI, take_its_place
from autograder.nbgrader.printed import PrintableFormatter
from tests.support.term_course import Part, StandIn, Term, without_sandbox

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Object of type")]  # nbgrader's, of SQLAlchemy
PARTS = (Part("1", "one", 10),)
OWN = 'c.Autograde.autograde_preprocessors = ["nbgrader.preprocessors.SaveAutoGrades"]\n'


@pytest.fixture(name="theirs", scope="module")
def _theirs(tmp_path_factory):
    """A course with its own nbgrader, and a kit elsewhere that has submissions, too; graded once."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        without_sandbox(patch)
        kit = Term(folder / "kit")
        kit.assign(*PARTS)
        kit.hand_in("somebody-else", one=1)
        made = Term(folder / "theirs", kit=kit.root, own=OWN)
        made.hand_in("ada", one=0.5)
        made.autograde()
    return made


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    """Grading runs nothing."""
    without_sandbox(monkeypatch)


def test_their_submissions_and_gradebook(theirs):
    """What lies in their folder is graded into their gradebook; the kit's folder stays as it was."""
    assert theirs.totals() == {"ada": (5, 0, 5, 10)}
    assert {path.name for path in theirs.kit.iterdir()} == {"assignment", "release", "submitted", "nbgrader_config.py"}
    assert (theirs.root / ".fcoskit" / "reports" / "ps" / "ada" / "report.json").is_file()


def test_other_assignments_are_nbgraders(theirs):
    """An assignment that is not the kit's has the course's own steps, and nbgrader's where the course has none."""
    config = theirs.config
    config.CourseDirectory.assignment_id = "ps1"
    converter = KitAutograde(coursedir=CourseDirectory(config=config), config=config)
    converter.log = logging.Logger("quiet", logging.CRITICAL)
    with pytest.raises(NbGraderException):  # nbgrader's own: nothing was handed in
        converter.start()
    stock = Autograde()
    assert converter.sanitize_preprocessors == stock.sanitize_preprocessors
    assert converter.exporter_class is stock.exporter_class
    assert converter.autograde_preprocessors == ["nbgrader.preprocessors.SaveAutoGrades"]
    assert type(converter.coursedir) is CourseDirectory


def test_their_release_is_a_copy(theirs):
    """`generate_assignment` takes the kit's release, so that formgrader shows and releases it."""
    assert "is released by `fcoskit release ps`" in theirs.generate()
    copied = theirs.root / "release" / "ps" / "work.ipynb"
    assert copied.read_bytes() == (theirs.kit / "release" / "ps" / "work.ipynb").read_bytes()


def test_formgrader_lists_it(theirs):
    """The first page has the assignment, with its points and submissions, and a source folder that says where it is."""
    (theirs.root / "source" / "ps1").mkdir(parents=True)
    config = theirs.config
    api = KitAPI(CourseDirectory(config=config), config=config)
    listed = {one["name"]: one for one in api.get_assignments()}
    assert set(listed) == {"ps", "ps1"}
    assert (listed["ps"]["max_score"], listed["ps"]["num_submissions"]) == (10, 1)
    note = (theirs.root / listed["ps"]["source_path"] / "made-elsewhere.md").read_text(encoding="utf-8")
    assert str(theirs.kit / "assignment" / "ps" / "work.py") in note


TIMES = {  # students, and what they call timestamp.txt
    "t-binary": b"\xff\xfe\x00\x9f" * 10,
    "t-megabytes": b"2026-01-01 " * 200_000,
    "t-promise": b"yesterday, I swear",
    "t-impossible": b"2026-02-31 25:61:00 UTC",
    "t-year": b"99999999999999999999-01-01",
    "t-zone": b"0001-01-01 00:00:00 +9999999999",
    "t-empty": b"",
    "t-folder": None,
}


def test_a_timestamp_of_ones_own(theirs):
    """Whatever a student calls timestamp.txt, the notebook beside it is graded, a second time too, and has a page."""
    for student, content in TIMES.items():
        path = theirs.hand_in(student, one=1).parent / "timestamp.txt"
        if content is None:
            path.mkdir()
            (path / "inside").write_text("x")
        else:
            path.write_bytes(content)
    for _ in range(2):
        assert "Traceback" not in theirs.autograde("t-*")
    assert StandIn.graded == sorted(TIMES)
    assert "Traceback" not in theirs.feedback("t-*")
    totals = theirs.totals()
    assert {student: totals[student][0] for student in TIMES} == dict.fromkeys(TIMES, 10)
    api = KitAPI(CourseDirectory(config=theirs.config), config=theirs.config)
    assert {api.get_submitted_timestamp("ps", student) for student in TIMES} == {None}
    assert all((theirs.root / "feedback" / student / "ps" / "work.html").is_file() for student in TIMES)


@pytest.mark.parametrize("suffix", [".zip", ".py"])
def test_a_lone_file_of_one_student(theirs, suffix):
    """A zip or a Python file, graded with `--student` alone."""
    folder = theirs.root / "submitted" / f"lone{suffix}" / "ps"
    folder.mkdir(parents=True)
    if suffix == ".py":
        (folder / "answer.py").write_text("def one(): return 1\n")
    else:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("def one(): return 1")])
        with zipfile.ZipFile(folder / "answer.zip", "w") as archive:
            archive.writestr("in/work.ipynb", nbformat.writes(notebook))
    theirs.autograde(f"lone{suffix}")
    assert StandIn.graded == [f"lone{suffix}"] and theirs.totals()[f"lone{suffix}"][0] == 10


def test_keep_the_one_that_counts(theirs):
    """Two notebooks: no score, and what is left of them is graded by the next run, without `--force`."""
    folder = theirs.hand_in("two", one=1).parent
    (folder / "work.ipynb").rename(folder / "b.ipynb")
    (folder / "a.ipynb").write_bytes((folder / "b.ipynb").read_bytes())
    said = theirs.autograde("two")
    assert "keep the one that counts" in said and "`nbgrader autograde ps` grades it again" in said
    (folder / "a.ipynb").unlink()
    theirs.autograde("two")
    assert theirs.totals()["two"][0] == 10


def one_sentence(term: Term, *arguments: str) -> str:
    """Grading ends at once, with a line of log and no traceback; the line."""
    with pytest.raises((SystemExit, NbGraderException)):
        term.autograde(*arguments)
    (line,) = [line for line in term.log.splitlines() if line.startswith("ERROR")]
    assert "Traceback" not in term.log and StandIn.graded == []
    return line


def test_what_is_missing_is_one_sentence(theirs, tmp_path):
    """No release, no kit where it should be, nobody who handed in: said once, and nothing is graded."""
    bare = Term(tmp_path / "bare")
    bare.assign(*PARTS, release=False)
    bare.hand_in("ada", one=1)
    assert "run `fcoskit release ps` first" in one_sentence(bare)
    lost = Term(tmp_path / "lost", kit=tmp_path / "nowhere")
    lost.hand_in("ada", one=1)
    assert f"{tmp_path / 'nowhere'} holds no assignment/<id>/assignment.toml" in one_sentence(lost)
    assert "there is no folder" in one_sentence(theirs, "nobody")
    (bare.kit / "assignment" / "ps" / "assignment.toml").write_text("title = 3")
    assert "is not a valid assignment" in one_sentence(bare)


def test_a_kit_that_is_lost_is_not_nbgraders(theirs, tmp_path):
    """What the kit has graded is never run by nbgrader itself, though the kit named has no such assignment now."""
    other = Term(tmp_path / "other")
    other.assign(*PARTS)
    (other.root / "assignment" / "ps").rename(other.root / "assignment" / "ps2")
    made = Term(tmp_path / "theirs", kit=other.root)
    made.hand_in("ada", one=1)
    (made.root / ".fcoskit" / "reports" / "ps").mkdir(parents=True)
    assert "ps is an assignment of the kit's" in one_sentence(made)


def test_no_answer_is_a_page(monkeypatch):
    """Names of files and students are in formgrader's answers as they are: a browser gets text, not HTML."""
    base = importlib.import_module("nbgrader.server_extensions.formgrader.base")
    monkeypatch.setattr(base, "NbGraderAPI", base.NbGraderAPI)  # put back at the end, as is the next
    monkeypatch.setattr(base.BaseApiHandler, "set_default_headers", base.BaseApiHandler.set_default_headers)
    handlers = importlib.import_module("nbgrader.server_extensions.formgrader.apihandlers")
    take_its_place()
    sent: dict[str, str] = {}
    monkeypatch.setattr(base.BaseApiHandler, "set_header", lambda _, name, value: sent.update({name: value}))
    request = HTTPServerRequest(start_line=RequestStartLine("POST", "/", "HTTP/1.0"), connection=Mock())
    handlers.AutogradeHandler(Application(), request)
    assert sent["Content-Type"].startswith("text/plain") and sent["X-Content-Type-Options"] == "nosniff"


def test_what_is_logged_does_not_act(theirs):
    """Whoever prints it: where formgrader grades, that is Jupyter's own terminal."""
    (theirs.hand_in("eve", one=1).parent / "a\x1b[31mb\nERROR forged.png").write_bytes(b"")
    for said in (theirs.autograde("eve"), theirs.feedback("eve")):
        assert "a?[31mb?ERROR forged.png" in said and "\x1b" not in said and "\nERROR" not in said


def test_what_is_printed_does_not_act():
    """Names of files cannot colour a terminal, or begin a line that looks like nbgrader's."""
    formatter = PrintableFormatter(fmt="%(message)s", color=False)
    name = "a\x1b[31mb\nERROR forged\u202e.txt"
    for message, arguments in (("Copying %s", (name,)), (f"Copying {name}", ())):
        record = logging.LogRecord("nbgrader", logging.INFO, "", 1, message, arguments, None)
        shown = formatter.format(record)
        assert "\x1b" not in shown and "\u202e" not in shown and "\nERROR" not in shown
