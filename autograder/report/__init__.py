"""A submission's `Report`, and the forms it is shown in: JSON, HTML, CSV, a table in the terminal.

`grading`, `runs` and the front ends import it; it only shows, and neither grades nor reads notebooks.
"""

from autograder.report.model import Report

__all__ = ["Report"]
