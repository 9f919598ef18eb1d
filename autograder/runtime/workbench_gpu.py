"""A student's code as on a machine with a GPU, where there is none.

The check of devices asks for it (`OnGpu.examined`), and so does code that works on a GPU alone (`.cuda()`,
`device="cuda"`): what it cannot do here is done over again as on a GPU, and its values count. For both the notebook's
definitions run anew, within `PretendGpu`, so that whatever asks for a GPU there finds one; without a way to run them
again, the namespace stays and its devices are renamed.
"""

from __future__ import annotations

import contextlib
import copy
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch

from autograder.runtime.cuda_answers import GPU
from autograder.runtime.errors import StudentError
from autograder.runtime.notebook_device import on_a_gpu
from autograder.runtime.pretend_gpu import DeviceMismatch, PretendGpu, tensors_in

Reload = Callable[[], dict[str, Any]]

# What torch says where there is no GPU, by build and version.
_NO_GPU = re.compile(
    r"not compiled with CUDA|NVIDIA driver|CUDA driver|CUDA error|CUDA-capable|No CUDA GPUs|CUDA GPUs are available"
    r"|CUDA is not available|torch\.cuda\.is_available\(\) is False|ATen_cuda|must be cuda device"
    r"|[Cc]annot access accelerator|not available\. Torch not compiled|CUDA is not enabled|available accelerator"
)
_SPEAKS_OF_ONE = re.compile(r"cuda|gpu|nvidia|accelerator", re.IGNORECASE)


class Bench(Protocol):
    """What is needed here of a `Workbench`."""

    objects: dict[int, Any]

    def find(self, name: str) -> Any:
        """What the notebook bound to a name."""
        ...

    def keep(self, module: torch.nn.Module) -> int:
        """A number for a module."""
        ...

    def plainly(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Do an operation where the bench is."""
        ...


class OnGpu:
    """A workbench's twin on a pretended GPU, made when it is first asked for.

    Args:
        bench: The workbench on the CPU.
        namespace: Its names.
        reload: Runs the notebook's definitions again and gives their namespace; raises if that does not work. Called
            once, within `PretendGpu`.
        twin: Makes a bench of a namespace, whose modules and arguments go to the GPU.
        wants_one: Whether something was not defined for want of a GPU: then any failure may come of that.
    """

    def __init__(
        self,
        bench: Bench,
        namespace: dict[str, Any],
        reload: Reload | None,
        twin: Callable[[dict[str, Any]], Bench],
        wants_one: bool = False,
    ) -> None:
        self._bench = bench
        self._namespace = namespace
        self._reload = reload
        self._make_twin = twin
        self._wants_one = wants_one
        self._mode = PretendGpu()
        self._twin: Bench | None = None
        self._anew = False
        self._there: dict[str | int, str] = {}  # names and objects that work on a GPU alone, and where that was seen
        self._recipes: dict[int, dict[str, Any]] = {}

    def do(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Do an operation on the CPU or, if it needs a GPU, as on one.

        Raises:
            StudentError: It failed; where it needs a GPU, for another reason than that there is none.
        """
        key = arguments.get("handle", arguments.get("name"))
        if key in self._there:
            return self._done_there(operation, arguments)
        kept = copy.deepcopy(arguments)  # the first try may write into them
        try:
            result = self._bench.plainly(operation, arguments)
        except StudentError as error:
            return self._over_again(operation, kept, key, error)
        if operation == "new":
            self._recipes[result] = kept
        return result

    def let_go(self) -> None:
        """Forget the modules that were made."""
        self._recipes.clear()
        if self._twin is not None:
            self._twin.objects.clear()

    def _over_again(self, operation: str, arguments: dict[str, Any], key: Any, first: StudentError) -> Any:
        try:
            needs_one = needs_a_gpu(first)
            if torch.cuda.is_available() or not (needs_one or self._may_need_one(first)):
                raise first
            try:
                result = self._done_there(operation, arguments)
            except StudentError as error:
                if not needs_one:
                    raise first from None
                self._remember(key, first)
                raise error from first
            self._remember(key, first)
            return result
        finally:
            del first  # it leads to this frame: what the code held when it failed would stay until garbage is collected

    def _may_need_one(self, error: StudentError) -> bool:
        if error.kind == "NotImplementedError" or error.status not in ("error", "missing"):
            return False
        line = error.place.text if error.place else ""
        return self._wants_one or (error.status == "error" and _SPEAKS_OF_ONE.search(error.message + line) is not None)

    def _remember(self, key: Any, error: StudentError) -> None:
        """That a name or an object works on a GPU alone; if an object, then all of its class."""
        where = str(error.place or "")
        self._there[key] = where
        if key in self._recipes:
            self._there.setdefault(self._recipes[key]["name"], where)

    def _done_there(self, operation: str, arguments: dict[str, Any]) -> Any:
        with self._entered() as twin:
            if operation == "new":
                module = twin.objects.pop(twin.plainly(operation, arguments))
                number = self._bench.keep(module)
                self._recipes[number], twin.objects[number] = arguments, module
                self._there[number] = self._there.get(arguments["name"], "")
                return number
            if "handle" in arguments:
                self._bring(arguments["handle"], twin)
            return twin.plainly(operation, arguments)

    def _bring(self, number: int, twin: Bench) -> None:
        """Have an object on the GPU, too: made there as it was made here, with its weights."""
        if number in twin.objects:
            return
        here = self._bench.objects[number]
        try:
            with torch.random.fork_rng(devices=[]):
                there = twin.objects.pop(twin.plainly("new", copy.deepcopy(self._recipes[number])))
        except (StudentError, KeyError):
            there = moved_by_its_own(here, GPU)
        _copy_state(here, there)
        twin.objects[number] = there.train(here.training)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[Bench]:
        """The twin, as long as the pretended GPU is there."""
        with _uncompiled():
            if self._twin is None:
                self._begin()
            assert self._twin is not None
            with contextlib.ExitStack() as stack:
                if not self._anew:
                    self._mode.stands_for_gpu = stack.enter_context(on_a_gpu(self._namespace))
                stack.enter_context(self._mode)
                yield self._twin

    def _begin(self) -> None:
        namespace = self._namespace
        if self._reload is not None:
            with self._mode, contextlib.suppress(Exception, SystemExit):
                namespace = self._reload()
        self._anew = namespace is not self._namespace
        self._twin = self._make_twin(namespace)

    def called(self, name: str, args: list[Any], kwargs: dict[str, Any], places: list[str]) -> tuple[Any, list[str]]:
        """Call a function as on a GPU, with tensors that are where `places` says, "" where nobody knows.

        Returns:
            Its result, and where each tensor in that is.
        """
        with self._entered() as twin:
            for tensor, place in zip(tensors_in([args, kwargs]), places, strict=True):
                if place:
                    self._mode.put_at(tensor, torch.device(place))
            result = twin.find(name)(*args, **kwargs)
            return result, [str(self._mode.place(tensor) or "") for tensor in tensors_in(result)]

    def examined(
        self, name: str, new: list[Any] | None, method: str, train: bool, args: list[Any], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Call a function, or a module made from `new` (a method of it, if given), as if all were on a GPU.

        Returns:
            "places": where each tensor of the result would be, "cuda", "cpu" or ""; "broke": what went wrong that
            is no mix of devices, and so says nothing; "alone": whether the code works on a GPU alone; "where": the
            line that was seen to need one.
        """
        known = {"alone": name in self._there, "where": self._there.get(name, "")}
        try:
            with self._entered() as twin:
                function = twin.find(name)
                if new is not None:
                    module = moved_by_its_own(function(*new), GPU).train(train)
                    function = getattr(module, method) if method else module
                for tensor in tensors_in([args, kwargs]):
                    self._mode.put(tensor)
                with torch.set_grad_enabled(new is None or train):
                    result = function(*args, **kwargs)
                places = [self._mode.place(tensor) for tensor in tensors_in(result)]
        except (DeviceMismatch, StudentError):
            raise
        except Exception as error:
            return {"places": [], "broke": f"{type(error).__name__}: {error}"[:1000], **known}
        return {"places": [place.type if place else "" for place in places], "broke": "", **known}


def examined_there(
    device: torch.device,
    function: Any,
    new: list[Any] | None,
    method: str,
    train: bool,
    args: list[Any],
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """The same as `OnGpu.examined` on the notebook's own GPU: what it says goes before what was only accounted."""
    if str(kwargs.get("device", "")).startswith("cuda"):  # a check's word for whatever GPU there is
        kwargs = kwargs | {"device": device.type}
    if new is not None:
        module = moved_by_its_own(function(*new), device).train(train)
        function = getattr(module, method) if method else module
    with torch.set_grad_enabled(new is None or train):
        result = function(*args, **kwargs)
    places = ["cuda" if t.device.type == device.type else t.device.type for t in tensors_in(result)]
    return {"places": places, "broke": "", "alone": False, "where": ""}


def needs_a_gpu(error: StudentError) -> bool:
    """Whether code failed because there is no GPU."""
    return error.status == "error" and _NO_GPU.search(error.message) is not None


def moved_by_its_own(module: Any, device: torch.device) -> Any:
    """A module moved by its own `to`, which may give nothing back."""
    moved = module.to(device)
    return moved if isinstance(moved, torch.nn.Module) else module


def _copy_state(here: torch.nn.Module, there: torch.nn.Module) -> None:
    """Give a module the parameters and buffers that another has under the same names."""
    known = dict(here.named_parameters()) | dict(here.named_buffers())
    with torch.no_grad():
        for name, tensor in [*there.named_parameters(), *there.named_buffers()]:
            if name in known and known[name].shape == tensor.shape:
                tensor.copy_(known[name])


def _uncompiled() -> contextlib.AbstractContextManager[Any]:
    """What `torch.compile` made runs as it is written: a compiled function keeps no account."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # from torch 2.6 on
        stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return contextlib.nullcontext()
