"""Which names of a newer standard library a piece of code needs: claimed only where this Python lacks them."""

from __future__ import annotations

import importlib
import sys

import pytest
import vermin

from autograder.parsing.newer_names import needs_newer, newer_names

# Code, the first Python that runs it, and what is said of it on an older one.
CASES = [
    ("from warnings import deprecated", (3, 13), {"warnings.deprecated"}),
    ("import copy\nx = copy.replace(config, rate=1)", (3, 13), {"copy.replace"}),
    ("from copy import copy, replace\nx = replace(config)", (3, 13), {"copy.replace"}),
    ("import typing as T\nclass A:\n    @T.override\n    def f(self): ...", (3, 12), {"typing.override"}),
    ("from itertools import batched", (3, 12), {"itertools.batched"}),
    ("import itertools as it\nit.batched(x, 2, strict=True)", (3, 13), {"itertools.batched(strict=)"}),
    ("from pathlib import Path\nPath('.').walk()", (3, 12), {"pathlib.Path.walk"}),
    ("from collections.abc import Buffer", (3, 12), {"collections.abc.Buffer"}),
    ("def f():\n    import math\n    return math.sumprod([1], [2])", (3, 12), {"math.sumprod"}),
    ("try:\n    f()\nexcept PythonFinalizationError:\n    pass", (3, 13), {"PythonFinalizationError"}),
    ("import annotationlib", (3, 14), {"annotationlib"}),
    ("import functools\nfunctools.reduce(f, x, initial=0)", (3, 14), {"functools.reduce(initial=)"}),
]
NOTHING = [
    "",
    "import copy\nx = copy.deepcopy(y)",
    "from dataclasses import replace\nreplace(config)",
    "copy = 'a'\ncopy.replace('a', 'b')",
    "def f(copy):\n    return copy.replace(1)",
    "import typing\ntyping.Nonsense",  # no Python has it
    "from typing_extensions import override",
    "import torch\nfrom torch import batched",
    "class PythonFinalizationError(Exception): ...\nraise PythonFinalizationError",
    "try:\n    from typing import override\nexcept ImportError:\n    def override(f): return f",
    "try:\n    from typing import override\nexcept (ValueError, AttributeError):\n    override = None",
    "import sys\nif sys.version_info >= (3, 14):\n    from copy import replace\nelse:\n    replace = None",
    "import copy\nreplaced = copy.replace(x) if hasattr(copy, 'replace') else x",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from annotationlib import Format",
    "import tarfile\ntarfile.TarFile.extraction_filter",  # vermin says 3.12, a later patch of 3.11 has it
    "x.long()\nimport importlib.metadata",  # names that exclude each other
    "this is no Python",
    "(" * 500 + ")" * 500,
    "x = " + "-" * 20_000 + "1",
]


@pytest.mark.parametrize(("source", "version", "names"), CASES)
def test_names_that_this_python_lacks(source, version, names):
    """On an older Python the name and its version are told; on one that has it nothing is."""
    lacking = version > sys.version_info[:2]
    assert needs_newer(source) == (f"{version[0]}.{version[1]}" if lacking else "")
    assert not lacking or names <= newer_names(source).keys()


@pytest.mark.parametrize("source", NOTHING)
def test_nothing_is_said_without_need(source):
    """Other things of that name, what is guarded, what no Python has, what cannot be read."""
    assert newer_names(source) == {}


def test_an_else_branch_and_a_handler_count():
    """What an older Python does run is looked at: what stands ready for an ImportError may need a newer one, too."""
    source = "try:\n    import wandb\nexcept ImportError:\n    import annotationlib as wandb"
    assert needs_newer(source) == ("3.14" if sys.version_info < (3, 14) else "")


def test_it_says_of_no_name_that_this_python_has_it_not():
    """Every member that vermin's table gives a newer Python is asked of this one: what is here is never claimed."""
    config = vermin.Config()
    config.set_ignore_incomp(True)
    newer = {name: at for name, (_, at) in vermin.MOD_MEM_REQS(config).items() if at and at > sys.version_info[:2]}
    plain = [name.rpartition(".") for name in newer if name.count(".") == 1]
    here = [(module, member) for module, _, member in plain if _has(module, member)]
    claimed = [(module, member) for module, _, member in plain if needs_newer(f"from {module} import {member}")]
    assert len(plain) > 50 or sys.version_info >= (3, 14)
    assert set(claimed) & set(here) == set()
    assert len(claimed) >= 0.9 * (len(plain) - len(here))


def _has(module: str, member: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), member)
    except ImportError:
        return False
