"""Checks that are handed out with the assignment and run in the students' own notebooks too."""
