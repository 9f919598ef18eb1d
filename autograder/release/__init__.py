"""The source to the release: the notebook without solutions, the students' wheel, the search for leaks.

Only `commands` imports it.
"""
