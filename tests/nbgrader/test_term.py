"""A course through a term: whatever happens to the assignment between two gradings, totals are right, nothing is lost.

The real nbgrader's converters, gradebook and export; `tests/support/term_course.py` has what stands in for the sandbox.
"""

from __future__ import annotations

import shutil

import pytest

from tests.support.term_course import LATE, Part, StandIn, Term, without_sandbox

ONE, TWO = Part("1.a", "one", 10), Part("1.b", "two", 4)
ADA, BEN = {"one": 1, "two": 0.5}, {"one": 0.5, "two": 1}
EXCLUDED = pytest.mark.filterwarnings("ignore:Object of type")  # nbgrader's own, of SQLAlchemy
pytestmark = [pytest.mark.slow, EXCLUDED]


@pytest.fixture(name="graded", scope="module")
def _graded(tmp_path_factory):
    """Two exercises, two students, graded once: the folder."""
    with pytest.MonkeyPatch.context() as patch:
        without_sandbox(patch)
        made = Term(tmp_path_factory.mktemp("term") / "course", after=LATE)
        made.assign(ONE, TWO)
        made.hand_in("ada", **ADA)
        made.hand_in("ben", **BEN)
        made.autograde()
    assert made.totals() == {"ada": (12, 0, 12, 14), "ben": (9, 0, 9, 14)}
    return made.root


@pytest.fixture(name="term")
def _term(graded, tmp_path, monkeypatch):
    """A copy of that, to go on with."""
    without_sandbox(monkeypatch)
    shutil.copytree(graded, tmp_path / "course")
    return Term(tmp_path / "course")


# What the assignment is then, and the totals that each must have.
CHANGES = {
    "added": ([ONE, TWO, Part("1.c", "three", 6)], (12, 9), 20),
    "added before": ([Part("1.0", "zero", 6), ONE, TWO], (12, 9), 20),
    "dropped": ([ONE], (10, 5), 10),
    "renamed": ([ONE, Part("1.z", "two", 4)], (12, 9), 14),
    "renamed with its cell": ([ONE, Part("1.z", "two", 4, cell="z-solution")], (12, 9), 14),
    "reordered": ([TWO, ONE], (12, 9), 14),
    "more points": ([Part("1.a", "one", 30), TWO], (32, 19), 34),
    "fewer points": ([Part("1.a", "one", 1), TWO], (3, 4.5), 5),
    "split": ([Part("1.a1", "one", 6), Part("1.a2", "half", 4), TWO], (8, 7), 14),
    "all at once": ([Part("1.n", "new", 1), Part("1.b", "two", 8), Part("1.c", "one", 2)], (6, 9), 11),
}


@pytest.mark.parametrize(("change", "force"), [(c, False) for c in CHANGES] + [("all at once", True)])
def test_a_changed_assignment(term, change, force):
    """Everybody is graded again, with `--force` and without, and once only: totals are those of the assignment now."""
    parts, totals, most = CHANGES[change]
    term.assign(*parts)
    said = term.autograde(force=force)
    assert term.totals() == {who: (points, 0, points, most) for who, points in zip(("ada", "ben"), totals, strict=True)}
    assert "Traceback" not in said and StandIn.graded == ["ada", "ben"]
    assert "Skipping existing assignment" in term.autograde() and StandIn.graded == ["ada", "ben"]
    assert "ERROR" not in term.feedback()


def test_a_student_alone(term):
    """Grading one after a change: that one is right, the other keeps a grade for each cell and is named, pages wait."""
    term.assign(ONE, TWO, Part("1.c", "three", 6))
    term.hand_in("ben", **BEN, three=1)
    said = term.autograde("ben")
    assert term.totals() == {"ada": (12, 0, 12, 20), "ben": (15, 0, 15, 20)}
    assert "Still graded as the assignment was before: ada. `nbgrader autograde ps` grades" in said
    with term.gradebook() as gradebook:
        grade = gradebook.find_grade("1-c", "work", "ps", "ada")
        assert grade.needs_manual_grade and grade.auto_score is None
    told = term.feedback()
    assert "No page for ada" in told and "Traceback" not in told
    assert (term.root / "feedback" / "ben" / "ps" / "work.html").exists()
    assert "Still" not in term.autograde() and StandIn.graded == ["ben", "ada"]


def test_feedback_follows_a_regrading(term):
    """A page that is older than the grading is made anew without `--force`; one that is not stays."""
    term.feedback()
    page = term.root / "feedback" / "ada" / "ps" / "work.html"
    assert "Skipping existing" in term.feedback()
    term.assign(Part("1.a", "one", 77), TWO)
    term.autograde()
    term.feedback()
    assert "77" in page.read_text(encoding="utf-8")


def test_feedback_says_what_a_human_set(term):
    """Above the panel, which has what the checks gave; and not where the two are the same."""
    term.by_hand("ben", "1-a", 7, extra=0.5)
    term.by_hand("ben", "1-b", 4)
    (term.root / "submitted" / "ada" / "ps" / "work.ipynb").write_text("no notebook")  # no panel, nothing by hand
    term.autograde("ada", force=True)
    term.feedback()
    told = "<strong>A human set 7.5 of 10 points.</strong> What the checks gave:"
    pages = [(term.root / "feedback" / who / "ps" / "work.html").read_text(encoding="utf-8") for who in ("ada", "ben")]
    assert [(page.count(told), page.count("A human set")) for page in pages] == [(0, 0), (1, 1)]
    assert pages[1].index(told) < pages[1].index("5 of 10 points", pages[1].index(told) + len(told))


def test_what_a_human_set_stays(term):
    """Points, extra credit and comments outlive an exercise that is added, and points that change."""
    term.by_hand("ben", "1-a", 7, extra=0.5)
    term.by_hand("ben", "one", None, comment="Half right.")
    for parts, most in (([ONE, TWO, Part("1.c", "three", 6)], 20), ([Part("1.a", "one", 20), TWO], 24)):
        term.assign(*parts)
        term.autograde()
        assert term.totals()["ben"] == (11.5, 0, 11.5, most)
    with term.gradebook() as gradebook:
        assert gradebook.find_grade("1-a", "work", "ps", "ben").needs_manual_grade  # to look at once more
        assert gradebook.find_comment("one", "work", "ps", "ben").manual_comment == "Half right."
    term.assign(Part("1.a", "one", 5), TWO)
    assert "ben: 1-a has 7 points that a human set, but gives 5 at most now" in term.autograde()
    assert term.totals()["ben"] == (11.5, 0, 11.5, 9)


def test_another_price(term):
    """What a fault costs changes: those who have it are graded again, nobody else, and what a human set stays."""
    for student in ("ben", "cy"):
        term.hand_in(student, one="0.5  # wide", two=1)
    term.price("wide", 3)
    term.autograde(force=True)
    assert term.totals() == {"ada": (12, 0, 12, 14), "ben": (11, 0, 11, 14), "cy": (11, 0, 11, 14)}
    term.by_hand("cy", "1-a", 6.5, extra=0.5)
    term.by_hand("cy", "one", None, comment="Why?")
    term.price("wide", 1)
    StandIn.graded.clear()
    said = term.autograde()
    assert StandIn.graded == ["ben", "cy"] and said.count("is graded again: what faults cost has changed since") == 2
    assert term.totals() == {"ada": (12, 0, 12, 14), "ben": (13, 0, 13, 14), "cy": (11, 0, 11, 14)}
    with term.gradebook() as gradebook:
        assert gradebook.find_grade("1-a", "work", "ps", "cy").needs_manual_grade  # to look at once more
        assert gradebook.find_comment("one", "work", "ps", "cy").manual_comment == "Why?"
    term.feedback("ben")
    page = (term.root / "feedback" / "ben" / "ps" / "work.html").read_text(encoding="utf-8")
    assert "Too wide." in page and "Score: 13.0 / 14.0" in page and "A human set" not in page
    assert "is graded again" not in term.autograde()


def test_a_rename_of_what_a_human_graded(term):
    """Refused in a sentence, nothing touched; with `was` the points go along, and so does the comment."""
    term.by_hand("ben", "1-b", 1)
    term.by_hand("ben", "two", None, comment="Why?")
    before = term.totals()
    term.assign(ONE, Part("1.z", "two", 4, cell="z"))
    with pytest.raises(SystemExit):
        term.autograde()
    assert "no 1-b any more" in term.log and "of ben. Nothing was changed" in term.log and "was = " in term.log
    assert "Traceback" not in term.log and term.totals() == before and StandIn.graded == []
    term.assign(ONE, Part("1.z", "two", 4, was="1.b", cell="z"))
    term.autograde()
    assert term.totals() == {"ada": (12, 0, 12, 14), "ben": (6, 0, 6, 14)}
    with term.gradebook() as gradebook:
        assert gradebook.find_comment("z", "work", "ps", "ben").manual_comment == "Why?"


def test_a_release_that_lags_behind(term):
    """Settings that changed without a release: one sentence, and no grade is touched."""
    term.assign(ONE, TWO, Part("1.c", "three", 6), release=False)
    with pytest.raises(SystemExit):
        term.autograde()
    assert "differ in 1-c" in term.log and "fcoskit release ps" in term.log and "Traceback" not in term.log
    assert term.totals() == {"ada": (12, 0, 12, 14), "ben": (9, 0, 9, 14)}


def test_a_whole_term(term):
    """Graded, an exercise added, graded again, by hand, a late one, points changed, by hand, feedback: each total."""
    steps = [term.totals()]
    with term.gradebook() as gradebook:
        gradebook.update_or_create_assignment("ps", duedate="2026-03-03 11:00:00 UTC")
    three = Part("1.c", "three", 6)
    term.assign(ONE, TWO, three)
    term.autograde()
    steps.append(term.totals())
    term.by_hand("ben", "1-a", 6, extra=1)
    steps.append(term.totals())
    term.hand_in("cy", "2026-03-03 12:00:00 UTC", one=1, two=1, three=1)
    term.autograde()
    steps.append(term.totals())
    term.assign(Part("1.a", "one", 20), TWO, three)
    term.autograde()
    steps.append(term.totals())
    term.by_hand("cy", "1-b", 0)
    term.autograde("cy", force=True)
    steps.append(term.totals())
    assert steps == [
        {"ada": (12, 0, 12, 14), "ben": (9, 0, 9, 14)},
        {"ada": (12, 0, 12, 20), "ben": (9, 0, 9, 20)},
        {"ada": (12, 0, 12, 20), "ben": (11, 0, 11, 20)},
        {"ada": (12, 0, 12, 20), "ben": (11, 0, 11, 20), "cy": (20, 2, 18, 20)},
        {"ada": (22, 0, 22, 30), "ben": (11, 0, 11, 30), "cy": (30, 2, 28, 30)},
        {"ada": (22, 0, 22, 30), "ben": (11, 0, 11, 30), "cy": (26, 2, 24, 30)},
    ]
    term.feedback("cy")
    page = (term.root / "feedback" / "cy" / "ps" / "work.html").read_text(encoding="utf-8")
    assert "work (Score: 24.0 / 30.0)" in page and "Late submission penalty (Score: -2.0)" in page
