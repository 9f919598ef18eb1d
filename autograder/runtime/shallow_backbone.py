"""torchvision's RegNet with one convolution a stage: for checks that need its interface and not its depth.

Names of the stages, channels and strides are those of the full network, so that whatever is built on its
feature maps is built just so, and tried, in a fraction of the time; and a network of 5 convolutions learns three
pictures by heart in 40 steps where one of 22 blocks sometimes does not.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

from torchvision.models import regnet
from torchvision.ops import Conv2dNormActivation

# The wide stages would take half of a training step: they are grouped, as RegNet's own are, into multiples of 16.
_NARROW, _GROUP = 32, 16
_model = regnet.RegNet
_build = _model.__init__


@contextlib.contextmanager
def shallow_models() -> Iterator[None]:
    """As long as it is open, every new RegNet is shallow; full weights loaded into it fill what there is room for."""
    _model.__init__, _model.load_state_dict = _init, _load_state_dict
    try:
        yield
    finally:
        _model.__init__ = _build
        del _model.load_state_dict  # the inherited one shows again


def _init(self: regnet.RegNet, block_params: regnet.BlockParams, *args: Any, **kwargs: Any) -> None:
    params = copy.copy(block_params)
    params.depths = [1] * len(params.depths)
    _build(self, params, *args, **kwargs | {"block_type": _convolution})


def _convolution(
    width_in: int, width_out: int, stride: int, norm_layer: Any, activation_layer: Any, *_: Any, **__: Any
) -> Conv2dNormActivation:
    """What stands for a block: a 3 x 3 convolution, which learns as reliably as a block does; 1 x 1 ones do not."""
    groups = math.gcd(width_in // _GROUP, width_out // _GROUP) if width_in > _NARROW else 1
    return Conv2dNormActivation(
        width_in, width_out, 3, stride, groups=groups, norm_layer=norm_layer, activation_layer=activation_layer
    )


def _load_state_dict(self: regnet.RegNet, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    if isinstance(state_dict, dict):
        known = self.state_dict()
        state_dict = known | {name: tensor for name, tensor in state_dict.items() if name in known}
    return super(_model, self).load_state_dict(state_dict, *args, **kwargs)
