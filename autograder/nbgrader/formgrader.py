"""Formgrader's list of assignments, which is a list of source folders: the kit's assignments have none, and get one.

Nothing in that folder is ever copied: neither grading nor releasing an assignment of the kit's looks at it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nbgrader.apps.api import NbGraderAPI

from autograder.nbgrader.ours import assignment_of, assignments_of
from autograder.nbgrader.timestamps import read_timestamp
from autograder.runtime.errors import KitError

_BASE = "nbgrader.server_extensions.formgrader.base"
_NOTE = """# {id} is made elsewhere

This folder is here so that formgrader lists {id}. Its notebook with the solutions is
`{source}`, and `fcoskit release {id}` makes what students get: `{release}`.
Nothing that lies here goes anywhere.
"""


def take_its_place() -> None:
    """Have formgrader, where this process runs it, ask this list, and send answers that no browser takes for a page."""
    if _BASE in sys.modules:
        base: Any = sys.modules[_BASE]
        base.NbGraderAPI = KitAPI
        base.BaseApiHandler.set_default_headers = _as_text


def _as_text(handler: Any) -> None:
    """Say that an answer of formgrader's is text: nbgrader says HTML, and sends names of files as they are.

    It is JSON, but formgrader's scripts parse the text themselves, which `application/json` would have parsed already.
    """
    super(sys.modules[_BASE].BaseApiHandler, handler).set_default_headers()
    handler.set_header("Content-Type", "text/plain; charset=UTF-8")


class KitAPI(NbGraderAPI):  # type: ignore[misc]
    """What formgrader's pages ask: with the kit's assignments, and whatever students call `timestamp.txt`."""

    def get_source_assignments(self) -> Any:
        """See nbgrader."""
        for name in assignments_of(self.config):
            folder = Path(self.coursedir.format_path(self.coursedir.source_directory, ".", name))
            if not folder.exists():
                try:
                    _make(folder, self.config, name)
                except (KitError, OSError) as error:
                    self.log.error("%s is not listed: %s", name, error)
        return super().get_source_assignments()

    def get_submitted_timestamp(self, assignment_id: str, student_id: str) -> Any:
        """See nbgrader. One that cannot be read is none."""
        submitted = self.coursedir.submitted_directory
        return read_timestamp(Path(self.coursedir.format_path(submitted, student_id, assignment_id)))


def _make(folder: Path, config: Any, name: str) -> None:
    """Make a source folder that says where the source is."""
    kit = assignment_of(config, name)
    if kit is not None:
        folder.mkdir(parents=True)
        note = _NOTE.format(id=name, source=kit.source, release=kit.release)
        (folder / "made-elsewhere.md").write_text(note, encoding="utf-8")
