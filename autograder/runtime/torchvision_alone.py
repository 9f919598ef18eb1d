"""torchvision imported without torch's compiler (`torch._dynamo`), which takes as long as all of the rest.

One of its modules wants a function of the compiler's, to call it where regions are aligned on a GPU. Until then another
in its place will do. Whoever needs the compiler later, an optimizer say, imports it as ever; a sandbox has it for its
workers as soon as it is known that they train.
"""

from __future__ import annotations

import sys
from types import ModuleType

_COMPILER, _UTILS = "torch._dynamo", "torch._dynamo.utils"


def _is_compile_supported(device_type: str) -> bool:
    """The compiler's own answer."""
    from torch._dynamo.utils import is_compile_supported

    return bool(is_compile_supported(device_type))


def _import() -> None:
    known = _COMPILER in sys.modules
    if not known:
        package, utils = ModuleType(_COMPILER), ModuleType(_UTILS)
        package.__path__ = []
        utils.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
        sys.modules.update({_COMPILER: package, _UTILS: utils})
    try:
        import torchvision.models.feature_extraction  # noqa: F401 (as the suites do)
    finally:
        if not known:
            del sys.modules[_COMPILER], sys.modules[_UTILS]


_import()
