"""Many submissions to a folder that can be continued: slots, their pool, and in `cluster` other machines.

The front ends import it; it carries verdicts and makes none.
"""
