"""What a notebook calls: `check()`, `make_submission()`, their panels, and the handout that says what there is.

Students get it whole; of the rooms above, `parsing` and `release` read the handout.
"""
