"""What a student reads of an exception: what it says, and the line of the notebook where it arose."""

from __future__ import annotations

import contextlib
import linecache
import re
import traceback
import types
from dataclasses import replace
from types import TracebackType

import torch

from autograder.runtime.errors import Place, StudentError
from autograder.runtime.not_run import NotRun
from autograder.runtime.values import ValueRefused

CELL_FILE = re.compile(r"<code cell (\d+)>$")


def missing_name(name: str, alike: str) -> StudentError:
    """The error for a name that the notebook does not define."""
    hint = f" There is a `{alike}`: is that it, misspelt?" if alike else " Was its cell deleted, or its name changed?"
    return StudentError("missing", f"The notebook does not define `{name}`.{hint}", kind="NameError")


def explain(error: BaseException) -> StudentError:
    """Turn an exception out of student code into what the student should read."""
    place = find_place(error.__traceback__)
    kind = type(error).__name__ if isinstance(type(error).__name__, str) else "Exception"
    shown = _builtin_kind(error)
    at = f" ({place})" if place else ""
    if isinstance(error, NotImplementedError) and place and _raised_there(error) and "::" not in message_of(error):
        message = (
            f"This part is as given, or one line of it is: it still raises NotImplementedError{at}. Write your code in "
            "the place of that line; if your code stands above it already, delete the line."
        )
        return StudentError("missing", message, kind=kind, place=place, public_text="This part is as given.")
    if isinstance(error, ValueRefused):
        message = f"Your code returned {error}."
        return StudentError("error", message, kind="ValueRefused", public_text="Your code returned no usable value.")
    if isinstance(error, RecursionError):
        message = f"Your code calls itself without end (RecursionError){at}."
        return StudentError("error", message, kind=kind, place=place)
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in message_of(error)
    ):
        return StudentError("memory", f"Your code ran out of memory{at}.", kind=kind, place=place)
    if isinstance(error, SystemExit):
        message = f"Your code ends the program{at}. A graded function must return its value instead."
        return StudentError("error", message, kind=kind, place=place, public_text="Your code raised SystemExit.")
    said = message_of(error)
    if isinstance(error, TypeError) and NotRun.__name__ in said:
        said += f". (`{NotRun.__name__}` stands for a name whose cell grading does not run)"
    message = f"Your code raised {kind[:80]}{': ' + said if said else ''}{at}.{_hint(error, said)}"
    public = f"Your code raised {shown}" + (f" in code cell {place.cell}, line {place.line}." if place else ".")
    return StudentError("error", message, kind=kind[:80], place=place, public_text=public)


def message_of(error: BaseException) -> str:
    """The text of an exception, cut off where it is very long; "" where it has none."""
    try:
        return str(error).strip()[:1000].rstrip(".")
    except Exception:  # a student's exception class may be broken too
        return ""


def _raised_there(error: BaseException) -> bool:
    """Whether a line of the student's notebook raised it, not something which that line called.

    Of torch's own functions there is no frame: one that lacks an operator ("aten::...") looks as if the line raised it.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and _in_notebook(frames[-1].f_code.co_filename)


def _in_notebook(name: str) -> bool:
    in_kernel = "ipykernel" in name or "ipython-input-" in name  # the latter on Colab, in /tmp, and in IPython's shell
    return (in_kernel and "site-packages" not in name) or CELL_FILE.search(name) is not None


def _builtin_kind(error: BaseException) -> str:
    """The nearest class that Python itself defines: student code cannot choose what it is called."""
    for kind in type(error).__mro__:
        if kind.__module__ == "builtins":
            return kind.__name__
    return "Exception"


def find_place(trace: TracebackType | None) -> Place | None:
    """The innermost line of the student's own code on a traceback, and the line that called its function."""
    found = called = None
    function = ""
    for frame, line in traceback.walk_tb(trace):
        if _in_notebook(frame.f_code.co_filename):
            known = _function_of(frame)
            if found and function and known != function:
                called = found
            found, function = _place_of(frame, line), known
    return replace(found, called_in=str(called)) if found and called else found


def _place_of(frame: types.FrameType, line: int) -> Place:
    name = frame.f_code.co_filename
    cell = CELL_FILE.search(name)
    text = linecache.getline(name, line).strip()[:200]
    return Place(int(cell.group(1)), line, text) if cell else Place(0, line, text, _function_of(frame))


def _function_of(frame: types.FrameType) -> str:
    """The function or method that a frame runs, as in `FCOS.forward`; "" for a cell's own lines."""
    known = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.10 knows the last part alone
    name = re.sub(r"\.<locals>.*|\.?<(lambda|listcomp|dictcomp|genexpr)>$", "", str(known))
    return "" if name.startswith("<") else name[:80]


# What stands behind some of torch's and Python's messages, where these do not lead to it.
_HINTS = (
    (r"Kernel size can't be greater", "Is `padding=1` missing? Without it a 3 x 3 convolution makes its map smaller."),
    (
        r"size of tensor a .* must match .* at non-singleton dimension 3",
        "Maps of different size meet: is a size written into the code, are H and W exchanged (`size=` takes (H, W)), "
        "or does a convolution change the size (padding is 0 for 1 x 1, 1 for 3 x 3)?",
    ),
    (
        r"size of tensor a .* must match .* at non-singleton dimension 1\b",
        "Rows of different length meet: is a dimension missing (`mask[:, None]`), or is there a column too many "
        "(`boxes[:, :4]`)?",
    ),
    (r"Class values must be non-negative", "Background has class -1: `clamp(min=0)` first, zero its rows after."),
    (
        r"Class values must be smaller",
        "Some class is too large: does it come from column 4, `[..., 4]`, and is nothing added to it?",
    ),
    (
        r"too many indices for tensor of dimension 0",
        "A single number stands where a row is meant: is a mean, a sum or a `max()` taken over all of it, or is "
        '`reduction="none"` missing?',
    ),
    (
        r"tuple indices must be integers or slices, not tuple",
        "A tuple stands where a tensor is meant: some functions give two, as `torch.max(x, 0)` does, which is the "
        "largest of each column and where it is.",
    ),
    (
        r"The shape of the mask .* does not match the shape of the indexed tensor",
        "A mask needs a row for each row of what it picks from: do both have the same first dimension? (`max(dim=1)` "
        "gives a number for each row, `max(dim=0)` one for each column.)",
    ),
    (
        r"expected a non-empty list",
        "Nothing was put into the list: is there a `break`, a `continue`, or an `if` that is never true?",
    ),
    (
        r"too many indices for tensor of dimension 1",
        "A row stands where a table is meant: is there a `squeeze()`, which takes a dimension away where one row is "
        "left?",
    ),
    (
        r"too many values to unpack \(expected 4\)",
        "Is the class still in the boxes? Then they have five columns: `[..., :4]` leaves it out.",
    ),
    (r"optimizer got an empty parameter list", "The module has no layers of its own: make them in `__init__`."),
    (
        r"Target size \(torch\.Size\(\[(.+)\]\)\) must be the same as input size \(torch\.Size\(\[\1, 1\]\)\)",
        "The predictions have a last dimension of 1 that the targets have not: `.squeeze(-1)` takes it away.",
    ),
    (
        r"Target size .* must be the same as input size",
        "Predictions and targets differ in shape: images come first, then locations, then classes. Is something put "
        "into a list once for all images, or is `num_classes` left out of `F.one_hot`?",
    ),
    (r"one_hot is only applicable to index", "Classes come as floats: `.long()` makes whole numbers of them."),
    (
        r"result type Float can't be cast to .* Long",
        "A tensor of whole numbers cannot take fractions: make it one of the same dtype as `x` first, `.to(x.dtype)`.",
    ),
    (
        r"all elements of target should be between 0 and 1",
        "Background has targets of -1: `clamp(min=0)` first, set its loss to zero after.",
    ),
    (
        r"unhashable type: 'slice'|unsupported operand .*'dict'|'dict' object has no attribute '(dim|shape|size)'",
        "A dictionary stands where a tensor is meant: is `[level_name]` missing, or are arguments exchanged?",
    ),
    (r"'NoneType' object is not callable", "What is called there is still None: is it made in `__init__`?"),
    (r"'NoneType' object .*subscriptable|unpack .*NoneType", "What is read there is None: is a `return` missing?"),
)


def _hint(error: BaseException, said: str) -> str:
    """What to look at, for a message that students have been seen to be misled by; "" for any other."""
    if type(error) is NameError and isinstance(error.name, str):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        owner = frames[-1].f_locals.get("self") if frames else None
        with contextlib.suppress(Exception):  # of a student's own class anything may be replaced
            if isinstance(owner, torch.nn.Module) and error.name in {*vars(owner), *owner._modules}:
                return f" Is `self.` missing? The module has `self.{error.name[:80]}`."
    return next((f" {hint}" for pattern, hint in _HINTS if re.search(pattern, said)), "")
