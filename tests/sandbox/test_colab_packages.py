"""What notebooks import that Colab has, the extra `colab`, works in the sandbox: seen, offline, within its limits."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.support.sandboxes import Sandbox

pytestmark = [pytest.mark.usefixtures("sandbox")]

IMPORTS = """
import importlib, os
def f(names):
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = repr(error)
    return {"failed": failed, "threads": len(os.listdir("/proc/self/task"))}
"""
COMPUTES = """
import os, threading
import cv2, einops, numpy as np, pandas, scipy.linalg, sklearn.cluster, skimage.transform, torch
from jaxtyping import Float, jaxtyped
from beartype import beartype
from torch.utils.tensorboard import SummaryWriter

@jaxtyped(typechecker=beartype)
def doubled(x: Float[torch.Tensor, "n 4"]) -> Float[torch.Tensor, "n 4"]:
    return 2 * einops.rearrange(x, "n c -> n c")

def f():
    image = np.zeros((600, 600, 3), np.uint8)
    cv2.GaussianBlur(cv2.resize(image, (900, 900)), (31, 31), 5)
    scipy.linalg.svd(np.eye(300) @ np.eye(300))
    skimage.transform.rescale(np.zeros((64, 64)), 0.5)
    centres = sklearn.cluster.KMeans(2, n_init=1).fit(np.array([[0.0], [0.1], [9.0]])).cluster_centers_
    table = pandas.DataFrame({"x": sorted(float(x) for x in centres.ravel())})
    twice = doubled(torch.ones(2, 4))
    threads = len(os.listdir("/proc/self/task"))
    with SummaryWriter() as writer:  # its thread is gone for Python before it is for the kernel
        writer.add_scalar("loss", 1.0, 0)
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    return {"centres": table["x"].round(2).tolist(), "threads": threads, "left": left, "doubled": twice}
"""


def extra() -> list[str]:
    """The names of the packages."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [Requirement(text).name for text in table["project"]["optional-dependencies"]["colab"]]


def modules() -> dict[str, list[str]]:
    """By package: what it is imported as."""
    found: dict[str, list[str]] = {canonicalize_name(name): [] for name in extra()}
    for module, packages in packages_distributions().items():
        for package in {canonicalize_name(name) for name in packages} & found.keys():
            if re.fullmatch(r"[a-z]\w*", module) and module not in ("test", "tests"):
                found[package].append(module)
    return found


@pytest.fixture(scope="module")
def sandbox_of_module():
    """One sandbox for both tests."""
    made = Sandbox(call_seconds=60)
    yield made
    made.close()


@pytest.mark.slow
def test_each_package_can_be_imported(sandbox_of_module):
    """No network, nothing to write to but the scratch folder: each of them is there, and none starts a thread."""
    found = modules()
    assert [package for package, names in found.items() if not names] == []
    got = sandbox_of_module.run(IMPORTS, sorted(name for names in found.values() for name in names))
    assert got == {"failed": {}, "threads": 1}


@pytest.mark.slow
def test_they_compute_in_one_thread(sandbox_of_module):
    """Linear algebra, pictures, clusters, tables, checked shapes and TensorBoard's files: right, in one thread."""
    got = sandbox_of_module.run(COMPUTES)
    assert (got["centres"], got["threads"], got["left"]) == ([0.05, 9.0], 1, [])
    assert got["doubled"].tolist() == [[2.0] * 4] * 2
