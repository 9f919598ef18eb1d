"""Shallow backbones have the interface of the full ones and leave nothing behind."""

import pytest
import torch
from torchvision.models import regnet_x_400mf
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.regnet import RegNet

from autograder.checks.student import LocalStudent
from autograder.runtime.errors import StudentError
from autograder.runtime.shallow_backbone import shallow_models

NODES = {f"trunk_output.block{stage}": f"c{stage + 1}" for stage in (2, 3, 4)}


def shapes(model: RegNet) -> dict[str, tuple[int, ...]]:
    """Shapes of the maps behind three stages."""
    maps = create_feature_extractor(model, NODES)(torch.zeros(2, 3, 64, 96))
    return {name: tuple(feature.shape) for name, feature in maps.items()}


@pytest.fixture
def shallow() -> RegNet:
    """A shallow network."""
    with shallow_models():
        return regnet_x_400mf(weights=None)


def test_the_maps_are_those_of_the_full_network(shallow):
    """Nodes of the same names give maps of the same shapes, from 4 convolutions instead of 22 blocks."""
    full = regnet_x_400mf(weights=None)
    assert shapes(shallow) == shapes(full)
    assert [len(list(stage)) for stage in shallow.trunk_output] == [1, 1, 1, 1]
    assert [len(list(stage)) for stage in full.trunk_output] == [1, 2, 7, 12]


def test_full_weights_fill_what_there_is_room_for():
    """Weights of the full network can be loaded: those of the stem and the end go where they would have gone."""
    weights = regnet_x_400mf(weights=None).state_dict()
    with shallow_models():
        model = regnet_x_400mf(weights=None)
        own = {name: tensor.clone() for name, tensor in model.state_dict().items() if name not in weights}
        model.load_state_dict(weights)
    loaded = model.state_dict()
    assert {name.partition(".")[0] for name in loaded if name not in own} == {"stem", "fc"}
    assert all(torch.equal(tensor, {**weights, **own}[name]) for name, tensor in loaded.items())


def test_nothing_is_left_behind():
    """After it, networks are full again and take full weights alone, also where making one failed."""
    with pytest.raises(RuntimeError, match="student"), shallow_models():
        raise RuntimeError("student")
    assert "load_state_dict" not in vars(RegNet)
    with pytest.raises(RuntimeError, match="Missing key"):
        regnet_x_400mf(weights=None).load_state_dict({})


def test_a_name_that_only_the_full_network_has_costs_nothing():
    """Code that asks for a layer deep in a stage is given the full network."""

    class Deep(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = create_feature_extractor(
                regnet_x_400mf(weights=None), {"trunk_output.block4.block4-11": "c5"}
            )

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.backbone(images)["c5"]

    module = LocalStudent({"Deep": Deep}).shallow("Deep")
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 400, 1, 1)


def test_an_error_of_the_student_s_own_is_told():
    """What fails with the full network too is the student's error."""

    def broken() -> None:
        raise ValueError("of my own")

    with pytest.raises(StudentError, match="of my own"):
        LocalStudent({"broken": broken}).shallow("broken")
