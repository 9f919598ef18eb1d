"""Stored reference tensors: `public/` is handed out with the checks, `hidden/` is not.

`data_scripts/make_reference.py` makes them and `MANIFEST.json` from the instructor's solution.
"""
