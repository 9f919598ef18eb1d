"""What `data_scripts/on_gpu.py` measures on a GPU machine, and the report of it.

`plan.py` says how much of everything there is and for how long. `cases.py`, `examined.py`, `processes.py` and
`verdicts.py` compare what `check()` says on two devices; `training.py`, `recipes.py` and `nonfinite.py` train;
`machine.py` and `report.py` write it down.
"""
