"""What tests of the sandbox share: a notebook of one cell, and the student that is made of it."""

import dataclasses

from autograder.course.assignment import load_assignment
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import make_slice
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from tests.conftest import ROOT


def limited(**limits):
    """The assignment with some limits of its own."""
    loaded = load_assignment("ps7", ROOT)
    return dataclasses.replace(loaded, limits=dataclasses.replace(loaded.limits, **limits))


class Sandbox:
    """A host, and students in it one after another.

    Args:
        kind: As `Host` has it.
        limits: Limits that differ from the assignment's.
    """

    def __init__(self, kind="bwrap", **limits):
        self.assignment = limited(**limits)
        self.host = Host(self.assignment, kind)
        self._last = None

    def student(self, source):
        """A student whose notebook is one cell that defines f; the one before is gone."""
        self.leave()
        piece = make_slice(read_notebook(f"# %%\n{source}".encode(), ".py"), ("f",), self.assignment.not_run)
        self._last = SandboxedStudent(self.assignment, piece, self.host)
        return self._last

    def run(self, source, *args):
        """Call f of a new student."""
        return self.student(source).call("f", *args)

    def leave(self):
        """End the present worker."""
        if self._last is not None:
            self._last.close()
            self._last = None

    def close(self):
        """End the sandbox."""
        self.leave()
        self.host.close()
