"""Stored tensors as a check gets them."""

from __future__ import annotations

import torch

from autograder.checks.copies import Copies


def test_what_is_written_into_a_copy_stays_there():
    """A check has one copy of each tensor to the end; the next check begins with what is stored."""
    stored = {"a": torch.zeros(2), "b": torch.ones(2)}
    one, other = Copies(stored), Copies(stored)
    one["a"] += 3
    assert one["a"].tolist() == [3, 3] and other["a"].tolist() == stored["a"].tolist() == [0, 0]
    one["own"] = torch.ones(1)
    del one["own"]
    assert dict(one).keys() == stored.keys() and len(one) == 2 and "b" in one and "c" not in one
    assert [name for name, tensor in other.items() if bool(tensor.any())] == ["b"]
