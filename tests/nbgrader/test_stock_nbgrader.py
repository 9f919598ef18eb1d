"""What nbgrader does by itself: the middle column of docs/nbgrader.md, run with the nbgrader that is installed.

A tiny course without the kit: one function, one check of 10 points. What fails here with another nbgrader is a row of
that table to write anew, not a fault of the kit.
"""

from __future__ import annotations

import copy
import csv
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert.preprocessors import Preprocessor
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import CsvExportPlugin
from nbgrader.preprocessors import SaveAutoGrades
from traitlets.config import Config

from autograder.nbgrader.tools import own_tools_first

pytestmark = pytest.mark.slow

SOLVED = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
# Ends in what the student's code gave, where that is wrong.
CHECK = (
    "got = double(1)\n### BEGIN HIDDEN TESTS\nassert got != 'HIDDEN'\n### END HIDDEN TESTS\nNone if got == 2 else got"
)
RIGHT = "def double(x):\n    return 2 * x"
TENSOR = "class Tensor:\n    def __repr__(self):\n        return 'tensor(1.)'\ndef double(x):\n    return Tensor()"
WARNS = "import sys\ndef double(x):\n    print('progress', file=sys.stderr)\n    return 2 * x"
GRADEBOOK = (
    "import sqlite3\ndef double(x):\n    db = sqlite3.connect('COURSE/gradebook.db')\n"
    "    db.execute('update grade set manual_score = 999')\n    db.commit()\n    return x"
)


def cell(source: str, name: str, **more: Any) -> Any:
    """A code cell of the instructor's."""
    made = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, "grade_id": name}
    return nbformat.v4.new_code_cell(source, metadata={"nbgrader": made | more})


def answers(code: str) -> Callable[[Any], None]:
    """The function is written so."""

    def edit(notebook: Any) -> None:
        notebook.cells[0].source = code

    return edit


def no_metadata(notebook: Any) -> None:
    """Right, as Colab leaves it."""
    answers(RIGHT)(notebook)
    notebook.metadata = {}
    for one in notebook.cells:
        one.metadata = {}


def no_check(notebook: Any) -> None:
    """Right, with the check cell deleted."""
    answers(RIGHT)(notebook)
    del notebook.cells[1]


def edited_check(notebook: Any) -> None:
    """Wrong, with a check cell that says 10."""
    answers("def double(x):\n    return x")(notebook)
    notebook.cells[1].source = "10.0"


def twice(notebook: Any) -> None:
    """Right, with every cell twice."""
    answers(RIGHT)(notebook)
    notebook.cells = [two for one in notebook.cells for two in (one, copy.deepcopy(one))]


# Whom nbgrader grades, by what they do, and the points that it gives them.
CLASS: list[tuple[str, Callable[[Any], None], float]] = [
    ("bare", no_metadata, 0),
    ("deletes", no_check, 0),
    ("edits", edited_check, 1),
    ("nan", answers("def double(x):\n    return float('nan')"), 10),
    ("negative", answers("def double(x):\n    return -1.0"), 10),
    ("right", answers(RIGHT), 10),
    ("tensor", answers(TENSOR), 10),
    ("warns", answers(WARNS), 0),
]
FILES = {"as-python/work.py": RIGHT, "no-json/work.ipynb": "this is no notebook", "nothing/photo.png": ""}


class Zero(Preprocessor):  # type: ignore[misc]
    """A grading step of one's own that fails every check: a plain preprocessor of nbconvert's."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert."""
        error = nbformat.v4.new_output("error", ename="Wrong", evalue="", traceback=[])
        for one in nb.cells:
            one.outputs = [error]
        return nb, resources


class Stock:
    """A course folder of stock nbgrader's, what its log said last, and what of grading the class."""

    def __init__(self, root: Path) -> None:
        self.root, self.config, self.log, self.said = root, Config(), "", ""
        self.config.CourseDirectory.root = str(root)
        self.config.CourseDirectory.assignment_id = "ps"
        self.config.CourseDirectory.db_url = f"sqlite:///{root / 'gradebook.db'}"

    def run(self, kind: Any, student: str = "*", **settings: Any) -> None:
        """Run one of nbgrader's converters as its command does."""
        config = copy.deepcopy(self.config)
        config.CourseDirectory.student_id = student
        config[kind.__name__].update(settings)
        converter = kind(coursedir=CourseDirectory(config=config), config=config)
        log = self.root / "log.txt"
        handler = logging.FileHandler(log, mode="w")
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        converter.log = logging.Logger("stock", logging.INFO)
        converter.log.addHandler(handler)
        own_tools_first()
        try:
            converter.start()
        finally:
            handler.close()
            self.log = log.read_text(encoding="utf-8")

    def points(self) -> dict[str, float]:
        """`nbgrader export`: points by student."""
        with Gradebook(self.config.CourseDirectory.db_url) as gradebook:
            CsvExportPlugin(to=str(self.root / "grades.csv")).export(gradebook)
        with (self.root / "grades.csv").open(encoding="utf-8") as stream:
            return {row["student_id"]: float(row["score"]) for row in csv.DictReader(stream)}

    def hand_in(self, student: str, edit: Callable[[Any], None], name: str = "work.ipynb") -> None:
        """The released notebook, edited, under `submitted/`."""
        notebook = nbformat.read(self.root / "release" / "ps" / "work.ipynb", as_version=4)
        edit(notebook)
        path = self.root / "submitted" / student / "ps" / name
        path.parent.mkdir(parents=True)
        text = json.dumps(notebook)  # nbformat would mend cell ids that are there twice
        path.write_text(text.replace("COURSE", str(self.root)), encoding="utf-8")


@pytest.fixture(name="stock", scope="module")
def _stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """The class, handed in and graded; the log is that of grading it."""
    made = Stock(tmp_path_factory.mktemp("stock"))
    source = made.root / "source" / "ps"
    source.mkdir(parents=True)
    cells = [cell(SOLVED, "solution", solution=True), cell(CHECK, "check", grade=True, locked=True, points=10)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source / "work.ipynb")
    (source / "data.csv").write_text("ours")
    (source / "solution.txt").write_text("THE SOLUTION")
    made.run(GenerateAssignment)
    for student, edit, _ in CLASS:
        made.hand_in(student, edit)
    made.hand_in("renamed", answers(RIGHT), "work (1).ipynb")
    for name, text in FILES.items():
        path = made.root / "submitted" / name.replace("/", "/ps/")
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    (made.root / "submitted" / "edits" / "ps" / "data.csv").write_text("mine")
    try:
        made.run(Autograde)
    except Exception:  # nbgrader ends so where a submission has errors; the others are graded
        assert "ERROR" in made.log
    made.said = made.log
    return made


@pytest.fixture(name="given", scope="module")
def _given(stock: Stock) -> dict[str, float]:
    """Points by student, before anything else is run."""
    return stock.points()


@pytest.mark.parametrize(("student", "points"), [(student, points) for student, _, points in CLASS])
def test_points(given, student, points):
    """A warning costs all points, a tensor, NaN or negative number gives all; lost metadata or cells give none."""
    assert given[student] == points


def test_other_files(stock, given):
    """Another name, or no notebook: an error and 0 in the export; a Python file, or nothing: no row at all."""
    assert (given["renamed"], given["no-json"]) == (0, 0)
    assert not {"as-python", "nothing"} & set(given)
    for student in ("renamed", "no-json"):
        assert f"ERROR There was an error processing assignment 'ps' for student '{student}'" in stock.said
    for student in ("as-python", "nothing"):
        assert any(line.startswith("WARNING") and f"/{student}/" in line for line in stock.said.splitlines())


def test_what_is_told(stock):
    """Of values that are no points there is a warning; of lost metadata and cells not a word."""
    for value in ("tensor(1.), which cannot be converted", "nan, which is less", "-1.0, which is less"):
        assert f"WARNING Cell output is {value}" in stock.said
    lines = [line for line in stock.said.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert not [line for line in lines if "bare" in line or "deletes" in line]


def test_a_check_that_was_edited_is_put_back(stock):
    """The released check stands in `autograded/`, with a warning in the log."""
    cells = nbformat.read(stock.root / "autograded" / "edits" / "ps" / "work.ipynb", as_version=4).cells
    assert cells[1].source == CHECK and "WARNING Attribute 'checksum' for cell check has changed" in stock.said


def test_files_of_the_source(stock):
    """A student's file is replaced by the source's of that name; what lies beside the source goes to everybody."""
    graded = stock.root / "autograded" / "edits" / "ps"
    assert (graded / "data.csv").read_text() == "ours"
    stock.run(GenerateFeedback, "edits")
    for folder in (stock.root / "release" / "ps", graded, stock.root / "feedback" / "edits" / "ps"):
        assert (folder / "solution.txt").read_text() == "THE SOLUTION"
    page = (stock.root / "feedback" / "edits" / "ps" / "work.html").read_text(encoding="utf-8")
    assert "HIDDEN" in page, "the code of hidden checks"


def test_a_plain_preprocessor_is_skipped(stock, given):
    """A grading step that is not nbgrader's own kind does not run, and everybody has all points."""
    stock.hand_in("ungraded", answers("def double(x):\n    return 1"))
    stock.run(Autograde, "ungraded", autograde_preprocessors=[Zero, SaveAutoGrades])
    assert stock.points()["ungraded"] == 10


def test_code_that_writes_the_gradebook(stock, given):
    """It finds it, and writes what it likes for everybody."""
    stock.hand_in("writes", answers(GRADEBOOK))
    stock.run(Autograde, "writes")
    points = stock.points()
    assert {student: points[student] for student, *_ in CLASS} == dict.fromkeys((s for s, *_ in CLASS), 999)


@pytest.mark.filterwarnings("ignore:Non-unique cell id")  # nbformat's, of just these cells
def test_one_notebook_stops_the_class(stock, given):
    """Every cell twice: the command ends there, and nobody after that student is graded."""
    stock.hand_in("x-twice", twice)
    stock.hand_in("y-right", answers(RIGHT))
    with pytest.raises(NbGraderException):
        stock.run(Autograde)
    assert re.findall(r"Sanitizing .*submitted/([\w-]+)/", stock.log)[-1] == "x-twice"
    assert "y-right" not in stock.points()
