"""README and the guides: what they name is there, what they count is right, and their recipes work as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
import yaml

from autograder.course.assignment import load_assignment
from autograder.course.notebook import check_cells, parted_cells, source_notebook
from autograder.grading.cases import load_proof
from autograder.notebook_kit.run_public import run_public
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
TAS = (DOCS / "tas.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:assignment|autograder|data_scripts|tests|docs|benchmarks|helpers)/[\w./-]+)`")


def test_the_command_reference_is_what_the_commands_say():
    """A new option is in `docs/commands.md`, however wide the terminal of whoever wrote it."""
    script = ROOT / "data_scripts" / "make_commands.py"
    environment = os.environ | {"COLUMNS": "40"}
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def anchors(page: Path) -> set[str]:
    """Where links can lead within a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Pages, headings and pictures that a page links to are there, and every picture says what it shows."""
    text = page.read_text(encoding="utf-8")
    for shown, target in LINK.findall(text):
        if target.startswith("http"):
            continue
        name, _, heading = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.is_file(), target
        assert not heading or heading in anchors(place), target
        assert shown, f"{target} has no words"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page):
    """Paths below the kit's own folders exist."""
    text = page.read_text(encoding="utf-8")
    named = NAMED.findall(text)
    new = {"assignment/ps7/proof/mutants/7.1m.toml", "assignment/ps7/suites/public/test_7_1m.py"}  # made by a recipe
    assert [path for path in named if path not in new and not (ROOT / path).exists()] == []


def test_links_and_files_are_found():
    """The two searches above find what they look for, on most pages."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum(bool(LINK.search(text)) for text in texts) > len(PAGES) / 2
    assert sum(bool(NAMED.search(text)) for text in texts) > len(PAGES) / 2


def test_every_page_is_in_the_site():
    """A page that is not in the navigation of mkdocs.yml would not be found."""
    listed = re.findall(r"[\w-]+\.md", str(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md"))


def test_the_site_asks_nothing_of_others():
    """No fonts of Google's, and no plugin whose pages fetch a script."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert settings["theme"]["font"] is False and settings["strict"] is True and settings["plugins"] == ["search"]


def test_the_counts_of_the_proof_are_right(assignment):
    """README and guide say how many wrong and right solutions there are."""
    kinds = [case.kind for case in load_proof(assignment)]
    wrong, right, unseen = (kinds.count(kind) for kind in ("mutant", "variant", "unseen"))
    for page in (ROOT / "README.md", DOCS / "instructors.md"):
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert f"{wrong} small wrong solutions" in text or f"{wrong} wrong solutions" in text
        assert f"{right} right ones" in text
    assert f"{unseen} more wrong solutions" in " ".join((DOCS / "instructors.md").read_text("utf-8").split())


def recipe(title: str) -> list[str]:
    """The blocks of code below a heading of the TAs' guide."""
    section = TAS[TAS.index(f"\n## {title}\n") + 4 :].partition("\n## ")[0]
    return [
        textwrap.dedent(block) for block in re.findall(r"^ *```\w+\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    ]


def test_a_new_exercise_by_the_recipe(course, edit, tmp_path):
    """Cells, entry, check and mutant of the guide go together: the solution passes, the mutant does not."""
    cells, entry, check, mutants = recipe("Add an exercise")
    edit(course.source, "# %% [markdown]\n# ## 7.1 (e)", f"{cells}\n# %% [markdown]\n# ## 7.1 (e)")
    edit(course.folder / "assignment.toml", '[[exercise]]\nid = "7.1f"', f'{entry}\n[[exercise]]\nid = "7.1f"')
    changed = load_assignment("ps7", course.root)
    notebook = source_notebook(changed)
    check_cells(changed, notebook)
    solved = next(p.merged for p in parted_cells(changed, notebook) if "def count_locations" in p.merged)
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "test_7_1m.py").write_text(check, encoding="utf-8")

    def checked(code: str) -> list[tuple[str, str]]:
        namespace: dict[str, object] = {}
        exec(code, namespace)
        return [(r.status, r.diagnosis) for r in run_public("7.1m", namespace, [], suites=tmp_path)]

    assert checked(solved) == [("passed", "")]
    (mutant,) = tomllib.loads(mutants)["mutant"]
    (change,) = mutant["change"]
    assert solved.count(change["old"]) == 1
    ((status, said),) = checked(solved.replace(change["old"], change["new"]))
    assert status == "failed" and mutant["says"] in said


def test_other_recipes_can_be_read():
    """Each block of TOML or Python in the TAs' guide is one."""
    blocks = re.findall(r"^ *```(toml|python)\n(.*?)^ *```$", TAS, re.DOTALL | re.MULTILINE)
    assert {language for language, _ in blocks} == {"toml", "python"}
    for language, block in blocks:
        if language == "toml":
            assert tomllib.loads(textwrap.dedent(block))
        else:
            compile(textwrap.dedent(block), "tas.md", "exec")
