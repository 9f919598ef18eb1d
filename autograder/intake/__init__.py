"""Files and folders as they come, zips and weights among them, to submissions: read bounded, and never as a path.

`grading`, `runs` and the front ends import it; it runs no student code.
"""
