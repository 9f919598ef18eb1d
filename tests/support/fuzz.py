"""How the readers of hostile files are fuzzed: the same examples in every run, kept nowhere, against no clock.

`FCOSKIT_FUZZ=5000` tries so many for each test, in place of a few that take no time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

QUICK = settings(
    max_examples=int(os.environ.get("FCOSKIT_FUZZ", "40")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
