"""From the paths on a command line to whose notebook is where; no name that a student chose becomes a path."""

import os
from pathlib import Path

import pytest

from autograder.intake.submissions import find_submissions, safe_key, submission_in
from autograder.runtime.errors import SubmissionError
from tests.support.handed_in_files import CODE, tree, zipped


def _found(*paths: Path):
    """Student to file, for those that can be graded; problems by student; lines."""
    submissions, lines = find_submissions(paths, "fcos", "ps7")
    files = {s.student: s.member or s.path.name for s in submissions if not s.problem}
    return files, {s.student: s.problem for s in submissions if s.problem}, lines


@pytest.mark.parametrize("name", ["alice.ipynb", "alice.py", "alice.md", "alice.IPYNB"])
def test_a_notebook_file_belongs_to_its_name(tmp_path, name):
    """A single file is the submission of whom it is named after."""
    assert _found(tree(tmp_path, name) / name) == ({"alice": name}, {}, [])


@pytest.mark.parametrize("name", ["alice/fcos.ipynb", "alice/ps7/fcos.ipynb", "alice/fcos (1).ipynb"])
def test_a_file_with_the_released_name_belongs_to_its_folder(tmp_path, name):
    """`fcos.ipynb` is everybody's name: the folder says whose it is."""
    assert _found(tree(tmp_path, name) / name)[0] == {"alice": Path(name).name}


def test_files_side_by_side(tmp_path):
    """A folder of `<student>.ipynb|.py|.md`, and whatever else lies there."""
    tree(tmp_path, "bob.py", "alice.ipynb", "eve.md", "notes.txt", ".hidden.ipynb", "__pycache__/x.py")
    assert _found(tmp_path) == ({"alice": "alice.ipynb", "bob": "bob.py", "eve": "eve.md"}, {}, [])


def test_nbgraders_submitted_folder(tmp_path):
    """`submitted/<student>/ps7/`, other assignments and checkpoints beside it."""
    tree(tmp_path, "alice/ps7/fcos.ipynb", "alice/ps6/other.ipynb", "alice/ps7/timestamp.txt")
    tree(tmp_path, "bob/ps7/fcos.ipynb", "bob/ps7/.ipynb_checkpoints/fcos-checkpoint.ipynb")
    assert _found(tmp_path) == ({"alice": "fcos.ipynb", "bob": "fcos.ipynb"}, {}, [])


@pytest.mark.parametrize("path", ["alice", "alice/ps7"])
def test_one_students_folder(tmp_path, path):
    """A student's own folder, or the assignment's in it, is that student's."""
    tree(tmp_path, "alice/ps7/fcos.ipynb")
    assert _found(tmp_path / path)[0] == {"alice": "fcos.ipynb"}


def test_only_one_student_with_two_assignments(tmp_path):
    """A class of one is not taken for something else."""
    tree(tmp_path, "submitted/alice/ps6/x.ipynb", "submitted/alice/ps7/fcos.ipynb")
    assert _found(tmp_path / "submitted")[0] == {"alice": "fcos.ipynb"}


def test_a_gradescope_export(tmp_path):
    """`submission_<id>/` folders with whatever name the notebook has in them."""
    tree(tmp_path, "submission_1/fcos.ipynb", "submission_2/my work.ipynb", "submission_metadata.yml")
    assert _found(tmp_path)[0] == {"submission_1": "fcos.ipynb", "submission_2": "my work.ipynb"}


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize(
    ("names", "students"),
    [
        (["export/submission_1/a.ipynb", "export/submission_2/b.ipynb"], {"submission_1", "submission_2"}),
        (["export/submission_1/a.ipynb"], {"submission_1"}),
        (["submitted/alice/ps7/fcos.ipynb", "submitted/bob/ps7/fcos.ipynb"], {"alice", "bob"}),
        (["class/alice/fcos.ipynb", "class/bob/fcos.ipynb"], {"alice", "bob"}),
    ],
)
def test_a_class_within_one_more_folder(tmp_path, archive, names, students):
    """A class whose zip, or unpacked zip, begins with the class's folder is still a class."""
    path = zipped(tmp_path / "c.zip", *names) if archive else tree(tmp_path / "c", *names)
    files, problems, lines = _found(path)
    assert (set(files), problems, lines) == (students, {}, [])


def test_a_class_within_one_more_folder_forgets_nobody(tmp_path):
    """There, too, a student without a notebook is listed."""
    tree(tmp_path, "export/submission_1/a.ipynb", "export/submission_2/empty/")
    files, problems, _ = _found(tmp_path)
    assert set(files) == {"submission_1"} and set(problems) == {"submission_2"}


def test_students_without_a_notebook_are_listed(tmp_path):
    """A folder that holds no notebook is a submission with a problem, not nobody."""
    tree(tmp_path, "alice/fcos.ipynb", "bob/report.pdf", "eve/")
    files, problems, _ = _found(tmp_path)
    assert set(files) == {"alice"} and set(problems) == {"bob", "eve"}
    assert all("No notebook" in text for text in problems.values())


def test_the_released_name_is_preferred(tmp_path):
    """Of several files in a student's folder, the one with the released name counts."""
    tree(tmp_path, "alice/fcos.ipynb", "alice/scratch.ipynb", "alice/helpers.py")
    assert _found(tmp_path)[0] == {"alice": "fcos.ipynb"}


def test_several_candidates_are_for_a_human(tmp_path):
    """Where no file is the one, nothing is chosen; the files are named."""
    tree(tmp_path, "alice/one.ipynb", "alice/two.ipynb", "bob/fcos.ipynb", "eve/a/fcos.ipynb", "eve/b/fcos.ipynb")
    submissions, _ = find_submissions([tmp_path], "fcos", "ps7")
    by_name = {s.student: s for s in submissions}
    assert by_name["alice"].candidates == ("alice/one.ipynb", "alice/two.ipynb")
    assert "2 submissions" in by_name["eve"].problem and not by_name["bob"].problem


def test_a_folder_and_a_file_of_one_student(tmp_path):
    """A notebook in a student's folder and one beside it: neither is dropped without a word."""
    files, problems, _ = _found(tree(tmp_path / "class", "ann/ps7/fcos.ipynb", "ann.ipynb", "ben/ps7/fcos.ipynb"))
    assert files == {"ben": "fcos.ipynb"}
    assert "2 submissions" in problems["ann"]


def test_two_submissions_of_one_student_by_two_paths(tmp_path):
    """The same student in two folders is asked about, not overwritten."""
    one, two = tree(tmp_path / "1", "alice.ipynb"), tree(tmp_path / "2", "alice.py")
    files, problems, _ = _found(one, two)
    assert files == {} and "2 submissions" in problems["alice"]


def test_the_same_file_twice_is_one(tmp_path):
    """Naming a file twice, or by two paths, is no conflict."""
    tree(tmp_path, "alice.ipynb", "sub/")
    assert _found(tmp_path, tmp_path / "alice.ipynb", tmp_path / "sub" / ".." / "alice.ipynb")[0] == {
        "alice": "alice.ipynb"
    }


def test_names_are_ordered(tmp_path):
    """Submissions come in the order of their keys, whatever the order of paths."""
    tree(tmp_path, "b.py", "a.py", "c.py")
    paths = [tmp_path / name for name in ("c.py", "a.py", "b.py")]
    assert list(_found(*paths)[0]) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["missing.ipynb", "missing", "x" * 300 + ".ipynb", "report.pdf", "empty", "cut.zip"])
def test_paths_that_hold_nothing_get_a_line_each(tmp_path, name):
    """A wrong path is told in a line; the other paths are graded."""
    tree(tmp_path, "alice.ipynb", "report.pdf", "empty/", "cut.zip")
    files, _, lines = _found(tmp_path / name, tmp_path / "alice.ipynb")
    assert set(files) == {"alice"} and len(lines) == 1 and name in lines[0]


def test_symbolic_links_are_not_followed(tmp_path):
    """Neither a linked notebook, nor one in a linked folder, nor a linked path is read."""
    secret = tree(tmp_path / "staff", "solution.ipynb")
    folder = tree(tmp_path / "in", "alice/fcos.ipynb", "bob/")
    (folder / "bob" / "fcos.ipynb").symlink_to(secret / "solution.ipynb")
    (folder / "eve").symlink_to(secret, target_is_directory=True)
    (tmp_path / "link.ipynb").symlink_to(secret / "solution.ipynb")
    files, problems, lines = _found(folder, tmp_path / "link.ipynb")
    assert set(files) == {"alice"} and set(problems) == {"bob"} and "symbolic link" in lines[0]


def test_a_file_that_becomes_a_link_is_not_read(tmp_path):
    """The check holds when the file is read, not only when it was found."""
    (submission,), _ = find_submissions([tree(tmp_path, "alice.py") / "alice.py"], "fcos", "ps7")
    (tmp_path / "alice.py").rename(tmp_path / "other.py")
    (tmp_path / "alice.py").symlink_to(tmp_path / "other.py")
    with pytest.raises(SubmissionError, match="not a regular file"):
        submission.read(1)


def test_a_pipe_is_no_notebook(tmp_path):
    """A named pipe would be waited on for ever: it is refused."""
    os.mkfifo(tmp_path / "alice.ipynb")
    assert _found(tmp_path)[0] == {}
    (submission,), _ = find_submissions([tmp_path / "alice.ipynb"], "fcos", "ps7")
    with pytest.raises(SubmissionError):
        submission.read(1)


def test_a_large_notebook_is_refused_with_advice(tmp_path):
    """Beyond the limit, the student is told what to do."""
    (tmp_path / "alice.ipynb").write_bytes(b" " * (2**20 + 1))
    (submission,), _ = find_submissions([tmp_path / "alice.ipynb"], "fcos", "ps7")
    assert len(submission.read(2)) == 2**20 + 1
    with pytest.raises(SubmissionError, match="clear its outputs"):
        submission.read(1)


KEYS = [
    "alice",
    "Zoë",
    "李雷",
    "o'neil",
    "a/b",
    "a\\b",
    "../../etc",
    "..",
    ".",
    "",
    " ",
    ".fcoskit",
    "grades.csv",
    "a\nb",
]
KEYS += ["grade.log", "a\0b", "\ud800", "\u202egnp.exe", "x" * 300, "𝒶" * 80, "字" * 100, "-rf", "a ", "con/../.."]


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_folder_names_and_nothing_else(tmp_path, name):
    """Whatever a student is called, the key is one folder name below where it is put."""
    key = safe_key(name)
    (tmp_path / key).mkdir()
    assert (tmp_path / key).parent == tmp_path and (tmp_path / key).resolve().parent == tmp_path.resolve()
    assert key == key.strip() and not key.startswith(".") and key.isprintable()


def test_different_students_keep_different_keys():
    """Making names safe does not make two students one."""
    assert len({safe_key(name) for name in KEYS}) == len(KEYS)
    assert safe_key("alice") == "alice" and safe_key("李雷") == "李雷"
    assert safe_key("Zoe\u0308") == safe_key("Zo\u00eb")


def test_a_zip_of_a_class(tmp_path):
    """A zip of files side by side, or of folders of students."""
    path = zipped(tmp_path / "class.zip", "alice.ipynb", "bob/ps7/fcos.ipynb", "bob/notes.txt", "__MACOSX/._bob.ipynb")
    assert _found(path) == ({"alice": "alice.ipynb", "bob": "bob/ps7/fcos.ipynb"}, {}, [])


@pytest.mark.parametrize(
    "names", [["fcos.ipynb"], ["ps7/fcos.ipynb", "ps7/helpers/nms.py"], ["work.ipynb", "notes.txt"]]
)
def test_a_zip_of_one_student(tmp_path, names):
    """A student's own zip goes by its name, whatever the notebook in it is called."""
    path = zipped(tmp_path / "alice.zip", *names)
    (submission,), _ = find_submissions([path], "fcos", "ps7")
    assert (submission.student, submission.member, submission.problem) == ("alice", names[0], "")
    assert submission.read(1) == CODE and submission.name == Path(names[0]).name


def test_zips_side_by_side(tmp_path):
    """`<student>.zip` beside notebooks: each is its student's, a damaged one is named, none is forgotten."""
    zipped(tmp_path / "alice.zip", "fcos.ipynb", "fcos_detector.pt")
    zipped(tmp_path / "bob.zip", "work/fcos.ipynb", "work/scratch.ipynb")
    zipped(tmp_path / "empty.zip", "readme.txt")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    tree(tmp_path, "carl.ipynb")
    files, problems, lines = _found(tmp_path)
    assert files == {"alice": "fcos.ipynb", "bob": "work/fcos.ipynb", "carl": "carl.ipynb"} and lines == []
    assert problems["broken"].startswith("broken.zip: not a zip") and "no notebook" in problems["empty"]


@pytest.mark.parametrize("place", ["alice", "alice/ps7"])
@pytest.mark.parametrize("name", ["ps7-submission.zip", "ps7-submission (1).zip", "whatever.zip"])
def test_a_zip_in_a_students_folder(tmp_path, place, name):
    """A folder of nbgrader's or of an export may hold what `make_submission()` made, under any name."""
    tree(tmp_path, f"{place}/", "bob/ps7/fcos.ipynb")
    zipped(tmp_path / place / name, "fcos.ipynb")
    assert _found(tmp_path) == ({"alice": "fcos.ipynb", "bob": "fcos.ipynb"}, {}, [])
    one = submission_in(tmp_path / place, "alice", "fcos")
    assert (one.problem, one.member, one.path.name) == ("", "fcos.ipynb", name)


@pytest.mark.parametrize("path", ["alice/ps7/ps7-submission.zip", "alice/ps7-submission.zip"])
def test_the_zip_of_make_submission_belongs_to_its_folder(tmp_path, path):
    """Everybody's zip is called so: given by its path, the folder says whose it is."""
    tree(tmp_path, f"{Path(path).parent}/")
    assert _found(zipped(tmp_path / path, "fcos.ipynb"))[0] == {"alice": "fcos.ipynb"}


def test_a_notebook_beside_a_zip(tmp_path):
    """In a student's folder the notebook counts, everywhere alike; side by side nobody can say which one does."""
    tree(tmp_path, "alice/ps7/fcos.ipynb", "bob.ipynb")
    zipped(tmp_path / "alice/ps7/ps7-submission.zip", "fcos.ipynb")
    zipped(tmp_path / "bob.zip", "fcos.ipynb")
    files, problems, _ = _found(tmp_path)
    assert files == {"alice": "fcos.ipynb"} and "2 submissions (bob.ipynb, bob.zip)" in problems["bob"]
    assert submission_in(tmp_path / "alice/ps7", "alice", "fcos").member == ""


def test_a_zip_with_the_released_name_and_another_notebook_is_one_students(tmp_path):
    """Someone who zips a scratch notebook, too, is no class of two."""
    assert _found(zipped(tmp_path / "alice.zip", "fcos.ipynb", "scratch.ipynb"))[0] == {"alice": "fcos.ipynb"}


def test_a_class_of_zips_in_one_more_folder(tmp_path):
    """`submitted/` within a folder is found where students handed in zips, too."""
    for student in ("alice", "bob"):
        tree(tmp_path, f"submitted/{student}/ps7/")
        zipped(tmp_path / f"submitted/{student}/ps7/ps7-submission.zip", "fcos.ipynb")
    assert set(_found(tmp_path)[0]) == {"alice", "bob"}


def test_one_folder_two_readers(tmp_path):
    """A notebook in a folder of the student's own beside the released one: nbgrader and `fcoskit grade` agree."""
    tree(tmp_path, "alice/ps7/fcos.ipynb", "alice/ps7/old/try.ipynb", "bob/ps7/fcos.ipynb")
    assert _found(tmp_path)[0]["alice"] == submission_in(tmp_path / "alice/ps7", "alice", "fcos").name == "fcos.ipynb"


def test_reports_of_an_earlier_run_are_no_student(tmp_path):
    """A run's folder that lies among the submissions is passed over."""
    tree(tmp_path, "alice/ps7/fcos.ipynb", "grades/.fcoskit", "grades/alice/report.json")
    assert _found(tmp_path) == ({"alice": "fcos.ipynb"}, {}, [])
