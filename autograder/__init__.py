"""The autograder: one engine that gives one verdict, and front ends that show it."""

__version__ = "0.1.0"
