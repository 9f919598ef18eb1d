"""What nbgrader prints: names of students' files are in it, and none of them may act on a terminal."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from tornado.log import LogFormatter

from autograder.report.terminal import printable


class PrintableFormatter(LogFormatter):
    """nbgrader's own format, in which no text can move the cursor, change colours or begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        shown = logging.makeLogRecord(record.__dict__)
        _make_printable(shown)
        return str(super().format(shown))


@contextlib.contextmanager
def printable_log(log: Any) -> Iterator[None]:
    """Have all that is logged meanwhile be printable, whoever prints it: Jupyter itself, where formgrader grades."""
    logger = getattr(log, "logger", log)  # of an adapter
    logger.addFilter(_make_printable)
    try:
        yield
    finally:
        logger.removeFilter(_make_printable)


def _make_printable(record: logging.LogRecord) -> bool:
    """Change a record into what can be printed; True, as a filter that keeps it."""
    if isinstance(record.args, tuple):
        record.args = tuple(_on_a_line(value) for value in record.args)
    record.msg, record.args = printable(record.getMessage()), None
    return True


def _on_a_line(value: object) -> object:
    """An argument of a message as one line: what a file is called could otherwise begin a message of its own.

    Lines below it that are indented, as of nbgrader's lists of folders, stay: none of them looks like a message.
    """
    if not isinstance(value, str) or "Traceback" in value:
        return value
    return "\n\t".join(printable(line, line=True) for line in value.split("\n\t"))
