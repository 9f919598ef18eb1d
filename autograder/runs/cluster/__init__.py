"""A run over a Dask cluster: who may give a grade, what was sent where, what a worker does.

Only `runs` and its front end import it, and only where a scheduler is named.
"""
