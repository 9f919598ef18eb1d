"""A submission's `Report`, and the forms it is shown in: JSON, HTML, CSV, a table in the terminal."""

from autograder.report.model import Report

__all__ = ["Report"]
