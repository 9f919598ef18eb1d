"""The autograder: one engine that gives one verdict, and front ends that show it."""

from pathlib import Path

__version__ = "0.1.0"
PACKAGE = Path(__file__).resolve().parent
RECORD = "fcoskit"  # the metadata of a notebook that was handed in say here what with
