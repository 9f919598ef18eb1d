"""Checks that run when a submission is graded and never leave the course's own machines."""
