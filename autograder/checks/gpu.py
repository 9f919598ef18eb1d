"""Would the code run on a GPU? Found out without one, see `pretend_gpu.py`."""

from __future__ import annotations

from typing import Any

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Student
from autograder.runtime.errors import StudentError

_ADVICE = (
    "Give a new tensor the device of those it meets (`device=x.device`, `torch.zeros_like(x)`, `x.new_zeros(...)`)."
)
_GUARDED = (
    'A GPU is written into the code (`.cuda()`, `device="cuda"`, `torch.cuda.synchronize()`). Write the device of a '
    "tensor there (`x.device`), or `DEVICE`, and ask `torch.cuda.is_available()` before what a GPU alone can do."
)


def expect_right(right: bool, what: str) -> None:
    """Fail unless the same call gave the right values on the CPU.

    On which devices its tensors are, only the student's own process knows, and hostile code may have it say
    anything. Without right values its word is worth nothing.
    """
    if not right:
        text = f"Not looked at yet: first {what} have to be right."
        raise CheckFailed(text, public_text=text)


def expect_runs_on_gpu(
    student: Student,
    name: str,
    args: list[Any],
    kwargs: dict[str, Any] | None = None,
    *,
    new: list[Any] | None = None,
    method: str = "",
    train: bool = False,
    result: str = "",
) -> None:
    """Fail if the code mixes tensors of two devices, were its arguments on a GPU, or works on a GPU alone.

    Whoever calls this has seen the same call work on the CPU, and holds it to right values with `expect_right`.
    Whatever else goes wrong here says nothing.

    Args:
        student: Whose code.
        name: A function, or the class of a module.
        args: Its arguments; all tensors among them count as on the GPU.
        kwargs: The same, by keyword.
        new: For a module: what it is made with.
        method: For a module: the method to call, if it is not the module itself.
        train: For a module: the mode.
        result: If given, the result has to be on the GPU too; names it in the message.
    """
    arguments = {"name": name, "new": new, "method": method, "train": train, "args": args, "kwargs": kwargs or {}}
    try:
        got = student.do("on_gpu", **arguments)
    except StudentError as error:
        if error.kind != "DeviceMismatch":
            raise
        where = f" in {error.place.where}" if error.place else ""
        diagnosis = f"With a GPU this would stop{where}: a tensor made on the CPU meets one on the GPU. {_ADVICE}"
        raise CheckFailed(error.message, diagnosis, "With a GPU this would stop.") from error
    if not isinstance(got, dict) or not isinstance(got.get("places"), list) or not isinstance(got.get("broke"), str):
        raise CheckFailed("Your code's process gave no account of devices.")
    if result and "cpu" in got["places"]:
        diagnosis = (
            f"With a GPU this would stop later on: {result[:1].lower()}{result[1:]} is made on the CPU. {_ADVICE}"
        )
        raise CheckFailed(
            f"{result} is on the CPU where the arguments ask for the GPU.", diagnosis, f"{result}: wrong device."
        )
    if got.get("alone") is True:
        where = f" ({got['where'][:300]})" if isinstance(got.get("where"), str) and got["where"] else ""
        text = f"`{name}` works on a GPU alone: where there is none, it stops"
        raise CheckFailed(f"{text}{where}. Its values were checked as on a GPU.", _GUARDED, f"{text}.")
