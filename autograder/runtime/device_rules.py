"""Which of torch's functions take tensors of two devices, and where their results are.

By name, for `PretendGpu`. What is not named here wants its tensors on one device, where CPU tensors without dimensions
go with everything, and gives its result there. `tests/runtime/test_device_table.py` holds it to torch's own samples of
every function.
"""

from __future__ import annotations

from typing import Any

import torch

# Copies across, or asks something of each tensor by itself.
CROSSING = frozenset(
    [
        "copy_",
        "select_scatter",
        "slice_scatter",
        "diagonal_scatter",
        "as_strided_scatter",
        "to",
        "cuda",
        "cpu",
        "type",
        "type_as",
        "tolist",
        "item",
        "tensor",
        "as_tensor",
        "asarray",
        "new",
        "new_tensor",
        "__set__",
        "set_data",
        "is_set_to",
        "_has_compatible_shallow_copy_type",
        "result_type",
        "is_same_size",
        "can_cast",
        "module_load",
        "__repr__",
        "__str__",
        "__format__",
        "__deepcopy__",
        "__reduce_ex__",
    ]
)
# Reads the shape of another, or shapes several: each result is a view.
BY_SHAPE = frozenset(
    [
        "expand_as",
        "view_as",
        "reshape_as",
        "resize_as_",
        "broadcast_tensors",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "align_as",
        "align_tensors",
    ]
)
# Some of their tensors belong on the CPU wherever the others are: lengths, places to cut.
WITH_THE_CPU = frozenset(["tensor_split", "_pack_padded_sequence", "_pad_packed_sequence", "ctc_loss"])
# Go through lists pair by pair.
PAIRWISE = ("_foreach_", "_fused_", "_amp_foreach_")
# The first tensor alone says where the result is: what is copied into it, or picks from it, may be elsewhere.
_PICKING = frozenset(["__getitem__", "index"])
_PUTTING = frozenset(["__setitem__", "index_put", "index_put_", "_index_put_impl_"])
_COPYING = frozenset(["copy_", "select_scatter", "slice_scatter", "diagonal_scatter", "as_strided_scatter"])
BY_THE_FIRST = _PICKING | _PUTTING | _COPYING
# Make a tensor of data.
OF_DATA = frozenset(
    [
        *("tensor", "as_tensor", "asarray"),
        *("sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor", "sparse_bsc_tensor"),
        "sparse_compressed_tensor",
    ]
)


def may_cross(name: str) -> bool:
    """Whether a function takes tensors of two devices, whichever they are."""
    return name in CROSSING or name in BY_SHAPE or name in WITH_THE_CPU or name.startswith(PAIRWISE)


def result_unknown(name: str) -> bool:
    """Whether the places of a call's tensors, where they differ, do not tell where new memory of its result is."""
    return name in BY_SHAPE or name in WITH_THE_CPU or name.startswith(PAIRWISE) or name in ("new_tensor", "__set__")


def is_indexing(name: str) -> bool:
    """Whether a function picks from its first tensor, or puts into it, by an index."""
    return name in _PICKING or name in _PUTTING


def to_be_together(name: str, args: Any, gpu_first: bool) -> list[Any]:
    """Those of an indexing call's arguments that are to be on one device.

    An index may be on the CPU where its tensor is on the GPU, and a number (an integer without dimensions) anywhere.
    What is put at places that tensors name has to be where the tensor is; into a slice it is copied.

    Args:
        name: Of the function.
        args: Its positional arguments.
        gpu_first: Whether the first of them may be on the GPU.
    """
    indices = args[1] if isinstance(args[1], (tuple, list)) else [args[1]]
    by_tensors = [index for index in indices if isinstance(index, (torch.Tensor, list)) and not _is_number(index)]
    together = [args[0]] if gpu_first else [args[0], *by_tensors]
    return [*together, *args[2:3]] if name in _PUTTING and by_tensors else together


def _is_number(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dim() == 0 and index.dtype != torch.bool
