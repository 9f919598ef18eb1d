"""All that slots import, in one place: the process that several of them are forked from has it once for all.

So a run with many slots imports torch once and not once a slot, a slot that died is back within a moment, and
slots share the memory of what was imported.
"""

from __future__ import annotations

# ruff: noqa: E402
import gc

gc.disable()  # what imports make stays, and looking for garbage in it takes a tenth of the start

import torch  # noqa: I001

from autograder.runtime import torchvision_alone  # noqa: F401 (before anything else imports torchvision)
from autograder.checks import collecting  # noqa: F401
from autograder.course import jupyter  # noqa: F401
from autograder.grading import engine, faults, map_score, substitutes, suite_rules  # noqa: F401
from autograder.sandbox import client, host, probe  # noqa: F401

torch.set_num_threads(1)
gc.freeze()  # slots share these pages as long as the collector leaves them alone
gc.enable()
