"""What can be done with a student's code, whichever side of a wall it stands on.

A `Workbench` holds a namespace and the objects made from it. The sandbox's worker answers requests with
one; the unsandboxed student (the students' own `check()`) uses one directly. Requests name an operation
of `OPERATIONS`; arguments and results are values (see `values.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch

from autograder.runtime.answering import answer
from autograder.runtime.cuda_answers import GPU
from autograder.runtime.detector import detect, load_weights
from autograder.runtime.errors import StudentError
from autograder.runtime.explaining import explain, message_of, missing_name
from autograder.runtime.notebook_device import default_device, moved
from autograder.runtime.shallow_backbone import shallow_models
from autograder.runtime.weight_names import as_usual, by_name
from autograder.runtime.workbench_gpu import OnGpu, Reload, examined_there, moved_by_its_own

OPERATIONS = (
    "call",
    "in_turn",
    "new",
    "use",
    "method",
    "get",
    "tensors",
    "load",
    "gradients",
    "minimise",
    "differentiate",
    "writes_into",
    "given_to",
    "on_gpu",
    "answer",
    "weights",
    "detect",
)


class Workbench:
    """Operations over one namespace of student code.

    Args:
        namespace: Where the student's names live.
        missing: For wanted names that are absent, what to tell the student.
        broken: For wanted names whose definition failed, the error to raise when they are asked for.
        device: Where arguments and new modules go, see `LocalStudent`.
        default: Where code makes tensors that ask for no device, likewise.
        reload: Runs the notebook's definitions again and gives their namespace, for code that needs a GPU; raises if
            that does not work. Without it the namespace serves for that, too.
        wants_gpu: Whether something of the notebook was not defined for want of a GPU.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        missing: dict[str, str] | None = None,
        broken: dict[str, StudentError] | None = None,
        device: torch.device | None = None,
        default: torch.device | None = None,
        reload: Reload | None = None,
        wants_gpu: bool = False,
    ) -> None:
        self.namespace = namespace
        self.device = device
        self.default = default
        self.missing = missing or {}
        self.broken = broken or {}
        self.objects: dict[int, Any] = {}
        self.answers_for: frozenset[str] = frozenset()
        self._made = 0  # a number is never given twice, also where objects were let go
        self._gpu = OnGpu(self, namespace, reload, self._twin, wants_gpu) if device is None else None

    def do(self, operation: str, **arguments: Any) -> Any:
        """Perform an operation.

        Raises:
            StudentError: The student's code failed or is not there.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"no operation {operation!r}")
        if self._gpu is None or operation in ("on_gpu", "answer"):
            return self.plainly(operation, arguments)
        return self._gpu.do(operation, arguments)

    def plainly(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Perform an operation on the bench's own device and nowhere else; raises as `do` does."""
        perform = getattr(self, f"_{operation}")
        try:
            if self.device is not None:
                arguments = self._moved(arguments, self.device)
            with default_device(self.default) if self.default is not None else contextlib.nullcontext():
                return perform(**arguments)
        except StudentError:
            raise
        except (Exception, SystemExit) as error:
            raise explain(error) from error

    def let_go(self) -> None:
        """Forget the modules that were made."""
        self.objects.clear()
        if self._gpu is not None:
            self._gpu.let_go()

    def _twin(self, namespace: dict[str, Any]) -> Workbench:
        """A bench on the pretended GPU."""
        broken = {name: error for name, error in self.broken.items() if name not in namespace}
        if namespace is self.namespace:
            broken = self.broken
        return Workbench(namespace, self.missing, broken, GPU)

    @staticmethod
    def _moved(arguments: dict[str, Any], device: torch.device) -> dict[str, Any]:
        try:
            there: dict[str, Any] = moved(arguments, device)
        except (RuntimeError, TypeError) as error:  # no fault of the student's: say so
            said = f"The inputs of this check do not fit on {device}: {message_of(error)}"
            raise StudentError("error", said, kind="DeviceRefused") from error
        return there

    def find(self, name: str) -> Any:
        """What the notebook bound to a name; raises as `do` does if nothing."""
        if name in self.broken:
            raise self.broken[name].with_traceback(None)  # or it would keep all frames through which it ever went
        if name not in self.namespace:
            raise missing_name(name, self.missing.get(name, ""))
        return self.namespace[name]

    def _call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.find(name)(*args, **kwargs)

    def _in_turn(
        self, calls: list[list[Any]], name: str = "", handle: int | None = None, train: bool | None = None
    ) -> list[Any]:
        """Call a function, or a module, with one list of arguments after the other; all results come at the end.

        So a result that a later call changes shows what it has become.
        """
        if handle is None:
            return [self.find(name)(*args) for args in calls]
        return [self._use(handle, args, {}, train) for args in calls]

    def _new(self, name: str, args: list[Any], kwargs: dict[str, Any], shallow: bool = False) -> int:
        make = self.find(name)
        made = _made_shallow(make, args, kwargs) if shallow else make(*args, **kwargs)
        if not isinstance(made, torch.nn.Module):
            raise StudentError("error", f"`{name}(...)` gave a `{type(made).__name__}`, not an `nn.Module`.")
        return self.keep(made if self.device is None else moved_by_its_own(made, self.device))

    def keep(self, module: torch.nn.Module) -> int:
        """A number for a module, by which requests ask for it."""
        self._made += 1
        self.objects[self._made] = module
        return self._made

    def _in_mode(self, handle: int, train: bool | None) -> Any:
        """A module, in training or evaluation mode, or (None) as it is."""
        module = self.objects[handle]
        if train is not None:
            module.train(train)
        return module

    def _use(self, handle: int, args: list[Any], kwargs: dict[str, Any], train: bool | None = None) -> Any:
        module = self._in_mode(handle, train)
        with torch.set_grad_enabled(module.training):  # older notebooks change their predictions in place
            return module(*args, **kwargs)

    def _method(
        self, handle: int, name: str, args: list[Any], kwargs: dict[str, Any], train: bool | None = None
    ) -> Any:
        module = self._in_mode(handle, train)
        with torch.set_grad_enabled(module.training):
            return getattr(module, name)(*args, **kwargs)

    def _get(self, handle: int, name: str) -> Any:
        value = self.objects[handle]
        for part in name.split("."):
            value = getattr(value, part)
        return value

    def _tensors(
        self, handle: int, skip: str, buffers: bool = False, given: tuple[str, ...] | list[str] = ()
    ) -> dict[str, torch.Tensor]:
        """Parameters, or buffers, but for those whose names begin with `skip` (a large backbone, say)."""
        module = self.objects[handle]
        named = module.named_buffers if buffers else module.named_parameters
        found = {name: as_usual(name, t) for name, t in by_name(named(remove_duplicate=False), given).items()}
        return {name: tensor for name, tensor in found.items() if not (skip and name.startswith(skip))}

    def _load(self, handle: int, tensors: dict[str, torch.Tensor], given: tuple[str, ...] | list[str] = ()) -> None:
        module = self.objects[handle]
        with torch.no_grad():
            places = dict(module.named_parameters(remove_duplicate=False))
            places |= by_name(places.items(), given) | dict(module.named_buffers(remove_duplicate=False))
            for name, tensor in tensors.items():
                as_usual(name, places[name]).copy_(tensor)

    def _weights(self, handle: int, content: torch.Tensor, safetensors: bool, made: str) -> None:
        load_weights(self.objects[handle], content, safetensors, made)

    def _detect(self, handle: int, images: list[torch.Tensor], kwargs: dict[str, Any], most: int) -> list[Any]:
        return detect(self.objects[handle], images, kwargs, most)

    def _gradients(
        self,
        handle: int,
        args: list[Any],
        kwargs: dict[str, Any],
        of: list[str | int],
        first_of: str,
        train: bool | None = None,
        given: tuple[str, ...] | list[str] = (),
    ) -> dict[str, Any]:
        """Gradients of the sum of the floating outputs (those under the keys `of`, if any are given).

        Of the parameters whose names begin with `first_of` the first alone stands for all: a backbone has millions.
        """
        module = self._in_mode(handle, train)
        module.zero_grad(set_to_none=True)
        outputs = module(*args, **kwargs)
        if of:
            outputs = {key: outputs[key] for key in of}
        total = sum(t.sum() for t in _floating(outputs) if t.requires_grad)
        if isinstance(total, torch.Tensor):
            total.backward()  # type: ignore[no-untyped-call]
        parameters = by_name(module.named_parameters(remove_duplicate=False), given)
        gradients = {n: None if p.grad is None else as_usual(n, p.grad) for n, p in parameters.items()}
        for name in [name for name in gradients if first_of and name.startswith(first_of)][1:]:
            del gradients[name]
        return gradients

    def _differentiate(self, name: str, args: list[Any]) -> list[torch.Tensor | None]:
        """Gradients of a function's output by each of its arguments; None where none comes.

        The output's elements are weighted differently, so that those of opposite sign do not cancel out.
        """
        leaves = [a.clone().requires_grad_() if torch.is_tensor(a) and a.is_floating_point() else a for a in args]
        inputs = [a * 1 if torch.is_tensor(a) and a.requires_grad else a for a in leaves]  # may be written into
        outputs = [t for t in _floating(self.find(name)(*inputs)) if t.requires_grad]
        for output in outputs:
            weights = torch.linspace(1.0, 2.0, output.numel(), dtype=output.dtype, device=output.device)
            weights = weights.reshape(output.shape)
            (output * weights).sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        return [a.grad if torch.is_tensor(a) else None for a in leaves]

    def _writes_into(
        self, args: list[Any], name: str = "", handle: int | None = None, train: bool | None = None
    ) -> list[int]:
        """Positions of the arguments of a function, a class or a module that it changes."""
        before = [(a, _state(a)) for a in args]
        self._in_turn([args], name, handle, train)
        return [k for k, (argument, state) in enumerate(before) if not _is_still(argument, state)]

    def _given_to(self, handle: int, part: str, args: list[Any], train: bool | None = None) -> list[Any]:
        """The first argument of each call of a part of a module, while the module runs."""
        module = self._in_mode(handle, train)
        seen: list[Any] = []

        def note(_: torch.nn.Module, given: tuple[Any, ...]) -> None:
            seen.extend(tensor.detach().clone() for tensor in given[:1] if torch.is_tensor(tensor))

        with module.get_submodule(part).register_forward_pre_hook(note):
            self._use(handle, args, {}, train)
        return seen

    def _on_gpu(
        self, name: str, new: list[Any] | None, method: str, train: bool, args: list[Any], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """See `OnGpu.examined`; where there is a GPU, it is really done there."""
        if self._gpu is None:
            assert self.device is not None
            return examined_there(self.device, self.find(name), new, method, train, args, kwargs)
        return self._gpu.examined(name, new, method, train, args, kwargs)

    def _answer(self, **question: Any) -> Any:
        """See `answering.py`; with `answers_for`, for these names alone."""
        assert self._gpu is not None
        if self.answers_for and question["name"] not in self.answers_for:
            return {"raised": ["NameError", "that function is not defined there"]}
        return answer(self, self._gpu.called, question)

    def _minimise(self, handle: int, batches: list[list[Any]], steps: int, lr: float, clip: float) -> dict[str, Any]:
        """Train a module with Adam on the sum of its outputs, batch after batch, for so many steps."""
        module = self.objects[handle]
        module.train()
        parameters = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=lr, fused=all(p.device.type == "cpu" for p in parameters) or None)
        history = []
        for step in range(steps):
            optimizer.zero_grad()
            total = sum(t.sum() for t in _floating(module(*batches[step % len(batches)])))
            if not isinstance(total, torch.Tensor) or not bool(torch.isfinite(total)):
                raise StudentError("error", f"After {step} training steps the loss is {total}.")
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
            history.append(float(total.detach()))
        return {"history": history}


def _made_shallow(make: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What `make` makes with a shallow backbone; where that does not work, as it comes."""
    try:
        with shallow_models():
            return make(*args, **kwargs)
    except NotImplementedError:  # as given: it would stop there with the full network, too, which takes half a second
        raise
    except Exception:  # a right solution may name a layer that only the full network has
        return make(*args, **kwargs)


def _all_tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [t for item in value for t in _all_tensors(item)] if isinstance(value, (list, tuple)) else []


_State = tuple[list[tuple[torch.Tensor, torch.Tensor]], list[Any]]


def _state(value: Any) -> _State:
    """The tensors in a value, each with a copy; and what a list of numbers, say, holds."""
    tensors = [(tensor, tensor.clone()) for tensor in _all_tensors([value])]
    return tensors, list(value) if isinstance(value, list) and not tensors else []


def _is_still(value: Any, state: _State) -> bool:
    """Whether a value holds the same tensors, and these the same numbers."""
    now, (tensors, listed) = _all_tensors([value]), state
    if len(now) != len(tensors) or _state(value)[1] != listed:
        return False
    return all(new is old and torch.equal(old, copy) for new, (old, copy) in zip(now, tensors, strict=True))


def _floating(value: Any) -> list[torch.Tensor]:
    return [tensor for tensor in _all_tensors(value) if tensor.is_floating_point()]
