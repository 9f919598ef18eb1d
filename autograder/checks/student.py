"""How a suite reaches a student's code.

Suites know only `Student` and `Handle`; whether the code runs in this process (`LocalStudent`, the
students' own `check()`) or behind a wall (`sandbox.client.SandboxedStudent`) is not theirs to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch

from autograder.runtime.errors import StudentError
from autograder.runtime.explaining import explain
from autograder.runtime.values import ValueRefused, copied
from autograder.runtime.workbench import Workbench

Made = TypeVar("Made")
Heard = tuple[str, Any]  # an operation, and the answer or the `StudentError` that it raised

_MOST_HEARD = 2**22  # numbers, letters and parts of all answers to a check: what comes later is not kept


class Student(Protocol):
    """A student's code, by name. Every method raises `StudentError` if that code fails."""

    def do(self, operation: str, **arguments: Any) -> Any:
        """Perform an operation of `workbench.OPERATIONS`; arguments and result are copies."""
        ...

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the student's."""
        ...

    def new(self, name: str, *args: Any, **kwargs: Any) -> Handle:
        """Make a module of a class of the student's."""
        ...

    def shallow(self, name: str, *args: Any, **kwargs: Any) -> Handle:
        """Make a module of a class of the student's, with a shallow backbone for torchvision's: `shallow_models`."""
        ...

    def shared(self, name: str, *args: Any, **kwargs: Any) -> Handle:
        """A module like that of `shallow`, but made once; checks that use it leave its weights as they found them."""
        ...

    def once(self, key: str, make: Callable[[], Made]) -> Made:
        """What `make` gives, which several checks ask for alike: made once, unless it raises. Nobody may change it."""
        ...


class Handle:
    """A module that a student's class made, wherever it lives."""

    def __init__(self, student: Student, number: int) -> None:
        self._student = student
        self._number = number
        self._train: bool | None = None  # the mode that the next run is to set first: saves a request
        self._found: dict[str, dict[str, torch.Tensor]] = {}

    @property
    def number(self) -> int:
        """By which `do` knows it."""
        return self._number

    @property
    def _given(self) -> list[str]:
        return list(getattr(self._student, "given", ()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module's forward pass."""
        return self._run("use", args=list(args), kwargs=kwargs)

    def in_turn(self, *calls: list[Any]) -> list[Any]:
        """Run the module's forward pass with one list of arguments after the other; all results come at the end."""
        found: list[Any] = self._run("in_turn", calls=[list(args) for args in calls])
        return found

    def writes_into(self, *args: Any) -> list[int]:
        """Positions of the arguments of the module's forward pass whose tensors it changes, in dictionaries, too."""
        found = self._run("writes_into", args=list(args))
        if not isinstance(found, list):  # a worker may answer anything
            raise StudentError("error", "Your code's process did not say which arguments it changes.")
        return [position for position in found if type(position) is int]

    def given_to(self, part: str, *args: Any) -> list[torch.Tensor]:
        """What a part of the module is given, call by call, while the module runs."""
        found = self._run("given_to", part=part, args=list(args))
        return [one for one in found if isinstance(one, torch.Tensor)] if isinstance(found, list) else []

    def _run(self, operation: str, **arguments: Any) -> Any:
        train, self._train = self._train, None
        return self._student.do(operation, handle=self._number, train=train, **arguments)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method."""
        return self._run("method", name=name, args=list(args), kwargs=kwargs)

    def get(self, name: str) -> Any:
        """Read an attribute; dots reach inside."""
        return self._student.do("get", handle=self._number, name=name)

    def parameters(self, skip: str = "") -> dict[str, torch.Tensor]:
        """Copies of the parameters, by name; without those whose names begin with `skip`."""
        tensors: dict[str, torch.Tensor] = self._student.do(
            "tensors", handle=self._number, skip=skip, given=self._given
        )
        return tensors

    def found(self, skip: str = "") -> dict[str, torch.Tensor]:
        """The parameters as they were when this was asked for first: their names, their shapes, what to put back."""
        if skip not in self._found:
            self._found[skip] = self.parameters(skip)
        return dict(self._found[skip])

    def buffers(self, skip: str = "") -> dict[str, torch.Tensor]:
        """Copies of the buffers, by name; without those whose names begin with `skip`."""
        tensors: dict[str, torch.Tensor] = self._student.do(
            "tensors", handle=self._number, skip=skip, buffers=True, given=self._given
        )
        return tensors

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Overwrite parameters and buffers by name."""
        self._student.do("load", handle=self._number, tensors=tensors, given=self._given)

    def train(self, mode: bool = True) -> None:
        """Set training mode, when the module runs next."""
        self._train = mode

    def eval(self) -> None:
        """Set evaluation mode."""
        self.train(False)

    def gradients(
        self, *args: Any, of: Sequence[str | int] = (), first_of: str = "", **kwargs: Any
    ) -> dict[str, torch.Tensor | None]:
        """Gradients of the sum of the outputs (those named in `of`) by parameter name; None where none came.

        Of the parameters whose names begin with `first_of`, if given, the first one alone.
        """
        arguments = {"args": list(args), "kwargs": kwargs, "of": list(of), "first_of": first_of, "given": self._given}
        grads: dict[str, torch.Tensor | None] = self._run("gradients", **arguments)
        return grads

    def minimise(self, batches: list[list[Any]], *, steps: int, lr: float, clip: float = 10.0) -> list[float]:
        """Train the module, in training mode, with Adam on the sum of its outputs; gives the sum at each step."""
        self._train = None
        arguments = {"batches": batches, "steps": steps, "lr": lr, "clip": clip}
        done = self._student.do("minimise", handle=self._number, **arguments)
        history: list[float] | None = done.get("history") if isinstance(done, dict) else None
        if not isinstance(history, list):  # a worker may answer anything
            raise StudentError("error", "The training gave no list of losses.")
        return history


class TooMuch:
    """Stands for an answer that was not kept."""


def _size(answer: Any) -> int:
    """About how many numbers, letters and parts an answer has."""
    if isinstance(answer, torch.Tensor):
        return 1 + answer.numel()
    if isinstance(answer, dict):
        return 1 + sum(_size(key) + _size(value) for key, value in answer.items())
    if isinstance(answer, (list, tuple)):
        return 1 + sum(map(_size, answer))
    return 1 + (len(answer) if isinstance(answer, str) else 0)


class EndedEarly(BaseException):
    """Who listens has heard enough: the check need not come to an end."""


class BaseStudent:
    """`call` and `new` on top of `do`, the same for every kind of student."""

    heard: list[Heard] | None = None  # what the code answered since somebody put a list here; None: nobody listens
    given: tuple[str, ...] = ()  # attributes that the text has, by which parameters go first: `weight_names.py`
    making: Callable[[str, Callable[[], Any]], Any] | None = None  # makes what `once` keeps, in place of `once` itself

    def __init__(self) -> None:
        self._shared: dict[str, Handle] = {}
        self._known: dict[str, tuple[Any, list[Heard]]] = {}
        self._room = _MOST_HEARD

    def do(self, operation: str, **arguments: Any) -> Any:
        """Perform an operation; subclasses say where, in `perform`."""
        try:
            answer = self.perform(operation, arguments)
        except StudentError as error:
            self._hear(operation, error)
            raise
        self._hear(operation, answer)
        return answer

    def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Perform an operation."""
        raise NotImplementedError

    def afresh(self) -> bool:
        """Go on in a new process, where there is one; gives whether the code may have left itself a note anyway."""
        return False

    def _hear(self, operation: str, answer: Any) -> None:
        """Keep an answer for who listens, as long as all of them are not too large."""
        if self.heard is None:
            return
        if not self.heard:
            self._room = _MOST_HEARD
        self._room -= _size(answer)
        self.heard.append((operation, answer if self._room >= 0 else TooMuch()))

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the student's."""
        return self.do("call", name=name, args=list(args), kwargs=kwargs)

    def new(self, name: str, *args: Any, **kwargs: Any) -> Handle:
        """Make a module of a class of the student's."""
        return self._made(name, list(args), kwargs, shallow=False)

    def shallow(self, name: str, *args: Any, **kwargs: Any) -> Handle:
        """Make a module of a class of the student's, with a shallow backbone for torchvision's: `shallow_models`."""
        return self._made(name, list(args), kwargs, shallow=True)

    def _made(self, name: str, args: list[Any], kwargs: dict[str, Any], *, shallow: bool) -> Handle:
        number = self.do("new", name=name, args=args, kwargs=kwargs, shallow=shallow)
        if type(number) is not int:  # a worker may answer anything
            raise StudentError("error", f"`{name}(...)` gave no module.")
        return Handle(self, number)

    def shared(self, name: str, *args: Any, **kwargs: Any) -> Handle:
        """A module like that of `shallow`, but made once; checks that use it leave its weights as they found them."""
        key = repr((name, args, kwargs))
        if key not in self._shared:
            self._shared[key] = self.shallow(name, *args, **kwargs)
        return self._shared[key]

    def once(self, key: str, make: Callable[[], Made]) -> Made:
        """What `make` gives, which several checks ask for alike: made once, unless it raises. Nobody may change it."""
        if key not in self._known:
            start = len(self.heard or [])
            made = self.making(key, make) if self.making else make()
            self._known[key] = (made, (self.heard or [])[start:])
        elif self.heard is not None:  # each check that asks for it has heard it
            self.heard += self._known[key][1]
        found: Made = self._known[key][0]
        return found


class LocalStudent(BaseStudent):
    """A student's code in this very process: for their own notebook, and for our reference solution.

    Args:
        namespace: Where the names live; a notebook's globals, say.
        device: A GPU on which all of it happens: arguments and new modules are moved there, what comes back is a copy
            on the CPU. Without it nothing is moved.
        default: Where the code makes tensors if it asks for no device; torch's default as it is if left out.
    """

    def __init__(
        self, namespace: dict[str, Any], device: torch.device | None = None, default: torch.device | None = None
    ) -> None:
        super().__init__()
        self.workbench = Workbench(namespace, device=device, default=default)

    def let_go(self) -> None:
        """Forget all modules that were made, and what was found out with them: a solution outlives many submissions."""
        self.workbench.let_go()
        self._shared.clear()
        self._known.clear()

    def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """See `Student.do`."""
        try:
            return copied(self.workbench.do(operation, **copied(arguments)))
        except ValueRefused as error:
            raise explain(error) from error
