"""Any notebook file to cells, cells to statements, statements to the slice that is loaded; nothing of it is run.

`intake`, `sandbox`, `grading` and what is above them import it; it knows no submission and no sandbox.
"""
