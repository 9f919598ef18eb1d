"""The regular expressions that docs/nbgrader.md has for zip_collect, on names as Canvas and Moodle give them."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "nbgrader.md").read_text(encoding="utf-8")
BASE = "/srv/course/downloaded/ps7/extracted/"
NAMES = {
    "Canvas": {
        "submissions/doejane_1234_98765_fcos-1.ipynb": ("1234", "fcos-1.ipynb"),
        "submissions/roejim_LATE_77_98766_fcos.ipynb": ("77", "fcos.ipynb"),
        "submissions/LATE_anon_55_98767_fcos.ipynb": ("55", "fcos.ipynb"),
        "doejane_1234_98765_my_own_fcos.py": ("1234", "my_own_fcos.py"),
        "submissions/doejane_1234_98765_ps7-submission/fcos.ipynb": ("1234", "ps7-submission/fcos.ipynb"),
        "submissions/eve_80_98769_hand/doejane_1234_1_fcos.ipynb": ("80", "hand/doejane_1234_1_fcos.ipynb"),
        "eve_80_98769_hand/doejane_1234_1_fcos.ipynb": ("80", "hand/doejane_1234_1_fcos.ipynb"),
        "submissions/notes.ipynb": None,
    },
    "Moodle": {
        "all/Jane Doe_501_assignsubmission_file_/fcos (1).ipynb": ("Jane Doe_501", "fcos (1).ipynb"),
        "all/Ann van_der Lee_503_assignsubmission_file/fcos.ipynb": ("Ann van_der Lee_503", "fcos.ipynb"),
        "Jim Roe_502_assignsubmission_file_/ps7-submission/fcos.ipynb": ("Jim Roe_502", "ps7-submission/fcos.ipynb"),
        "all/Eve_504_assignsubmission_file_/x/Jane Doe_501_assignsubmission_file_/fcos.ipynb": (
            "Eve_504",
            "x/Jane Doe_501_assignsubmission_file_/fcos.ipynb",
        ),
        "all/<img src=x onerror=alert(1)>_505_assignsubmission_file_/fcos.ipynb": None,
        'all/" onclick="alert(1)_506_assignsubmission_file_/fcos.ipynb': None,
        "all/fcos.ipynb": None,
    },
}


@pytest.mark.parametrize(("platform", "name"), [(platform, name) for platform in NAMES for name in NAMES[platform]])
def test_whose_it_is(platform, name):
    """The top of the class's zip says whose a file is, and nothing that a student's own zip holds."""
    (block,) = re.findall(rf"```python\n# {platform}: (.*?)```", PAGE, re.DOTALL)
    pattern = "".join(re.findall(r'^ +r"(.*)"$', block, re.MULTILINE))
    found = re.match(pattern, BASE + name)
    assert (found and (found["student_id"], found["file_id"])) == NAMES[platform][name]
