"""What lies beside submissions and is none: nobody is lost without a word, and what is nobody's is not told."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.intake.strays import find_strays
from autograder.intake.submissions import find_submissions, submission_in
from tests.support.handed_in_files import tree, zipped


def _students(*paths: Path) -> set[str]:
    return {submission.student for submission in find_submissions(paths, "fcos", "ps7")[0]}


def _strays(*paths: Path) -> tuple[list[str], list[str]]:
    """The lines about what is left out, and the notes."""
    strays = find_strays(paths, find_submissions(paths, "fcos", "ps7")[0], "fcos", "ps7")
    return strays.left_out, strays.notes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bob.pdf", "A submission is an .ipynb, .py or .md file"),
        ("bob.docx", "A submission is an"),
        ("bob", "A submission is an"),
        ("bob.txt", "A submission is an"),
        ("fcos.ipynb.txt", "ends in .txt. If it is a notebook all the same, call it <student>.ipynb"),
        ("bob.ipynb.json", "call it <student>.ipynb"),
        ("bob.zip.part", "call it <student>.zip"),
        ("bob.rar", "ask for a zip"),
        ("bob.tar.gz", "ask for a zip"),
        ("bob/report.pdf", "a folder without a notebook"),
    ],
)
@pytest.mark.parametrize("inside", ["", "class/"])
def test_a_file_of_the_wrong_kind_is_told(tmp_path, name, text, inside):
    """In a folder of `<student>.ipynb`, and in a zip of them, it has its line with what to do."""
    folder = tree(tmp_path / "in", "alice.ipynb", "carl.py", name)
    (line,), notes = _strays(folder)
    assert line.startswith(f"{folder / Path(name).parts[0]}: ") and text in line and notes == []
    names = [f"{inside}alice/ps7/fcos.ipynb", f"{inside}carl/ps7/fcos.ipynb", f"{inside}{name}"]
    (line,), _ = _strays(path := zipped(tmp_path / "class.zip", *names))
    assert line.startswith(f"{path}: {inside}{Path(name).parts[0]}: ") and text in line


def test_beside_students_folders_too(tmp_path):
    """A file beside `submitted/<student>/` and above it is told; a folder without a notebook has its row already."""
    folder = tree(tmp_path, "submitted/ann/ps7/fcos.ipynb", "submitted/bob/x.pdf", "submitted/eve.pdf", "mail.pdf")
    assert _students(folder / "submitted") == {"ann", "bob"}
    assert [line.partition(": ")[0] for line in _strays(folder / "submitted")[0]] == [str(folder / "submitted/eve.pdf")]
    tree(tmp_path, "submitted/carl/ps7/fcos.ipynb")
    told = [line.partition(": ")[0] for line in _strays(folder)[0]]
    assert told == [str(folder / "mail.pdf"), str(folder / "submitted/eve.pdf")]


def test_what_is_nobodys_is_not_told(tmp_path):
    """Hidden files, READMEs, lists, an earlier run, what systems leave; and what is called after somebody."""
    names = [
        "alice.ipynb",
        "j.doe.ipynb",
        ".DS_Store",
        ".git/config",
        "README.md",
        "readme.TXT",
        "LICENSE",
        "grades.csv",
    ]
    names += [
        "roster.xlsx",
        "~$roster.docx",
        "Thumbs.db",
        "submission_metadata.yml",
        "class.html",
        "map.seed",
        "empty/",
    ]
    names += [
        "grades/.fcoskit",
        "grades/alice/report.json",
        "__MACOSX/x",
        "__pycache__/x.pyc",
        "alice.pdf",
        "j.doe.pdf",
    ]
    names += ["alice.safetensors", "alice.ipynb.bak"]
    assert _strays(tree(tmp_path / "in", *names)) == ([], [])
    assert _strays(zipped(tmp_path / "class.zip", *(name for name in names if "fcoskit" not in name[:6]))) == (
        [f"{tmp_path}/class.zip: grades: a folder without a notebook. Is it a student's?"],
        [],
    )  # fmt: skip


@pytest.mark.parametrize("given", ["alice", "alice/ps7", "", "alice/ps7/fcos.ipynb"])
def test_what_lies_in_a_students_folder_is_theirs(tmp_path, given):
    """Weights, pictures and a PDF beside a student's notebook are told nowhere."""
    names = ["fcos.ipynb", "fcos_detector.safetensors", "loss.png", "report.pdf", "helpers/readme.rst"]
    tree(tmp_path, *(f"alice/ps7/{name}" for name in names), "bob/ps7/fcos.ipynb", "bob/ps7/x.pdf")
    assert _strays(tmp_path / given) == ([], [])


@pytest.mark.parametrize("names", [["fcos.ipynb", "loss.png"], ["ps7/fcos.ipynb", "x.pdf"], ["work.ipynb", "x.pdf"]])
def test_what_lies_in_a_students_zip_is_theirs(tmp_path, names):
    """The same in one student's zip."""
    assert _strays(zipped(tmp_path / "alice.zip", *names)) == ([], [])


def test_links_and_pipes_are_told(tmp_path):
    """What is not followed or not read is not dropped without a word."""
    tree(tmp_path, "staff/solution.ipynb", "in/alice.ipynb")
    (tmp_path / "in" / "bob.ipynb").symlink_to(tmp_path / "staff" / "solution.ipynb")
    (tmp_path / "in" / "eve").symlink_to(tmp_path / "staff", target_is_directory=True)
    assert ["symbolic link" in line for line in _strays(tmp_path / "in")[0]] == [True, True]


def test_zips_in_a_classs_zip_are_hand_ins(tmp_path):
    """They have rows of their own, in a folder and beside others: nothing of them is told as left out."""
    path = zipped(tmp_path / "c.zip", "ann.ipynb", "bob.zip", "carl.py", "bo/ps7-submission.zip")
    assert _students(path) == {"ann", "bo", "bob", "carl"}
    assert _strays(path) == ([], [])


def test_many_are_not_a_flood(tmp_path):
    """Twenty lines for a path, and how many more there are."""
    lines, _ = _strays(tree(tmp_path, "alice.ipynb", *(f"{n}.jpg" for n in range(100))))
    assert len(lines) == 21 and lines[-1] == f"{tmp_path}: 80 more such files and folders."


@pytest.mark.parametrize("name", ["README.md", "readme.md", "Readme.MD"])
def test_a_readme_is_no_student(tmp_path, name):
    """It tells about the folder that it lies in, in a zip as well; the class below it is found all the same."""
    assert _students(tree(tmp_path / "1", "alice.ipynb", name)) == {"alice"}
    assert _students(zipped(tmp_path / "c.zip", "alice.ipynb", "bob.py", name)) == {"alice", "bob"}
    assert _students(tree(tmp_path / "2", "class/ann/fcos.ipynb", "class/bob/fcos.ipynb", f"class/{name}")) == {
        "ann",
        "bob",
    }
    found, lines = find_submissions([tree(tmp_path / "3", name)], "fcos", "ps7")
    assert found == [] and "no notebook" in lines[0]


def test_a_readme_in_a_students_folder_is_not_their_notebook(tmp_path):
    """It makes nobody's submission ambiguous, in a folder, in a zip, for any front end; alone it is read."""
    tree(tmp_path / "in", "ann/work.ipynb", "ann/README.md", "bob/README.md")
    zipped(tmp_path / "in" / "carl.zip", "work.ipynb", "README.md")
    found, _ = find_submissions([tmp_path / "in"], "fcos", "ps7")
    assert {s.student: (s.name, s.problem) for s in found} == {
        "ann": ("work.ipynb", ""),
        "bob": ("README.md", ""),
        "carl": ("work.ipynb", ""),
    }
    assert submission_in(tmp_path / "in" / "ann", "ann", "fcos").name == "work.ipynb"


def test_a_readme_that_is_named_is_a_submission(tmp_path):
    """Whoever names a file on the command line means it."""
    assert _students(tree(tmp_path, "README.md") / "README.md") == {"README"}


@pytest.mark.parametrize("name", ["fcos.ipynb", "fcos (1).ipynb", "ps7-submission.zip"])
@pytest.mark.parametrize("others", [[], ["ann.ipynb", "bob.ipynb"]])
def test_everybodys_name_beside_others_is_told(tmp_path, name, others):
    """In a folder of files it takes the folder's name, which may be no student's: a line says so, and what to do."""
    folder = tree(tmp_path / "submitted", *others)
    zipped(folder / name, "fcos.ipynb")
    assert _students(folder) == {"submitted", *(Path(other).stem for other in others)}
    left_out, notes = _strays(folder)
    suffix = Path(name).suffix
    told = f"{name} goes by the folder's name, 'submitted'. If that is not its student, call it <student>{suffix}."
    assert (left_out, notes) == ([], [told])


def test_two_of_everybodys_names_beside_others(tmp_path):
    """One is graded under the folder's name; the other one may be somebody's and counts as left out."""
    left_out, notes = _strays(tree(tmp_path / "submitted", "ann.ipynb", "fcos.ipynb", "fcos (1).ipynb"))
    assert [line.split(" goes")[0] for line in (*left_out, *notes)] == ["fcos (1).ipynb", "fcos.ipynb"]


def test_a_zip_that_goes_for_one_students_says_what_it_leaves(tmp_path):
    """The released name at the top of a zip makes it one student's: what else is in it is named."""
    left_out, (note,) = _strays(zipped(tmp_path / "class.zip", "ann.ipynb", "bob.ipynb", "fcos.ipynb"))
    assert left_out == [] and note.startswith("class.zip goes for one student's") and "ann.ipynb, bob.ipynb" in note


def test_paths_that_cannot_be_read_are_not_told_twice(tmp_path):
    """A path that holds nothing has its line from `find_submissions`."""
    (tmp_path / "cut.zip").write_bytes(b"PK")
    paths = [tmp_path / name for name in ("cut.zip", "nowhere", "empty")]
    assert _strays(*paths, *tree(tmp_path, "empty/", "a.py").glob("a.py")) == ([], [])
