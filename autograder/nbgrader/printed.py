"""What nbgrader prints: names of students' files are in it, and none of them may act on a terminal."""

from __future__ import annotations

import logging

from tornado.log import LogFormatter

from autograder.report.terminal import printable


class PrintableFormatter(LogFormatter):
    """nbgrader's own format, in which no text can move the cursor, change colours or begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        shown = logging.makeLogRecord(record.__dict__)
        if isinstance(shown.args, tuple):
            shown.args = tuple(_on_a_line(value) for value in shown.args)
        shown.msg, shown.args = printable(shown.getMessage()), None
        return str(super().format(shown))


def _on_a_line(value: object) -> object:
    """An argument of a message as one line: what a file is called could otherwise begin a message of its own."""
    return printable(value, line=True) if isinstance(value, str) and "Traceback" not in value else value
