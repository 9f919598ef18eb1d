"""One submission to a `Report`: the engine, stand-ins for earlier exercises, named faults, the verified mAP, the proof.

`runs`, `release` and `commands` import it; it decides points, and shows nothing.
"""
