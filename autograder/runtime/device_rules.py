"""Which of torch's functions take tensors of two devices, and where their results are.

By name, for `PretendGpu`. What is not named here wants its tensors on one device, where CPU tensors without dimensions
go with everything, and gives its result there. `tests/runtime/test_device_table.py` holds it to torch's own samples of
every function.
"""

from __future__ import annotations

# Copies across, or asks something of each tensor by itself.
CROSSING = frozenset(
    "copy_ __setitem__ index_put index_put_ _index_put_impl_ to cuda cpu type type_as tolist item tensor as_tensor "
    "asarray new new_tensor __set__ set_data is_set_to _has_compatible_shallow_copy_type result_type is_same_size "
    "__repr__ __str__ __format__ __deepcopy__ __reduce_ex__".split()
)
# Reads the shape of another, or shapes several: each result is a view.
BY_SHAPE = frozenset(
    "expand_as view_as reshape_as broadcast_tensors atleast_1d atleast_2d atleast_3d align_as align_tensors "
    "sum_to_size".split()
)
# Some of their tensors belong on the CPU wherever the others are: lengths, places to cut.
WITH_THE_CPU = frozenset("tensor_split _pack_padded_sequence _pad_packed_sequence ctc_loss".split())
# Go through lists pair by pair.
PAIRWISE = ("_foreach_", "_fused_", "_amp_foreach_")
# The first tensor alone says where the result is: what is copied into it, or picks from it, may be elsewhere.
BY_THE_FIRST = frozenset("__getitem__ index copy_ index_put index_put_ _index_put_impl_ __setitem__".split())
# Make a tensor of data.
OF_DATA = frozenset("tensor as_tensor asarray".split())


def may_cross(name: str) -> bool:
    """Whether a function takes tensors of two devices, whichever they are."""
    return name in CROSSING or name in BY_SHAPE or name in WITH_THE_CPU or name.startswith(PAIRWISE)


def result_unknown(name: str) -> bool:
    """Whether the places of a call's tensors do not tell where new memory of its result is."""
    return name in BY_SHAPE or name in WITH_THE_CPU or name.startswith(PAIRWISE) or name in ("new_tensor", "__set__")
