"""Batch norms are folded into convolutions as torch itself computes them, under the tower's names."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.training.field.vision_weights import class_head, tower_weights

EPSILON = 1e-3  # of the package's own network


def normed_conv(stored: dict[str, Tensor], conv: str, norm: str, shape: Sequence[int], groups: int = 1) -> nn.Module:
    """Torch's own layers with statistics as far from the usual as trained ones are; their weights go to ``stored``."""
    made = nn.Conv2d(shape[1] * groups, shape[0], shape[2], groups=groups, padding=shape[2] // 2, bias=False)
    batch_norm = nn.BatchNorm2d(shape[0], eps=EPSILON)
    with torch.no_grad():
        batch_norm.weight.uniform_(-2, 2)
        batch_norm.bias.normal_()
        batch_norm.running_mean.normal_(0, 3)
        batch_norm.running_var.uniform_(1e-4, 4)
    stored |= {f"{conv}.weight": made.weight.detach()}
    stored |= {f"{norm}.{name}": value for name, value in batch_norm.state_dict().items()}
    return nn.Sequential(made, batch_norm).eval()


def small_network() -> tuple[dict[str, Tensor], dict[str, tuple[nn.Module, int]]]:
    """A state dict of two blocks, the first without expansion; its layers and their groups by the tower's names."""
    torch.manual_seed(4)
    stored: dict[str, Tensor] = {"_fc.weight": torch.randn(5, 7), "_fc.bias": torch.randn(5)}
    layers = {
        "stem": (normed_conv(stored, "_conv_stem", "_bn0", (4, 3, 3)), 1),
        "head": (normed_conv(stored, "_conv_head", "_bn1", (7, 6, 1)), 1),
        "blocks.1.expand": (normed_conv(stored, "_blocks.1._expand_conv", "_blocks.1._bn0", (24, 4, 1)), 1),
    }
    for number, inside, out, kernel in ((0, 4, 4, 3), (1, 24, 6, 5)):
        theirs, ours = f"_blocks.{number}.", f"blocks.{number}."
        depthwise = normed_conv(stored, f"{theirs}_depthwise_conv", f"{theirs}_bn1", (inside, 1, kernel), inside)
        project = normed_conv(stored, f"{theirs}_project_conv", f"{theirs}_bn2", (out, inside, 1))
        layers |= {f"{ours}depthwise": (depthwise, inside), f"{ours}project": (project, 1)}
    return stored, layers


def test_a_folded_layer_is_convolution_and_batch_norm() -> None:
    stored, layers = small_network()
    folded = tower_weights(stored)
    for name, (layer, groups) in layers.items():
        weight, bias = folded[f"{name}.weight"], folded[f"{name}.bias"]
        given = torch.randn(2, weight.shape[1] * groups, 9, 9)
        found = functional.conv2d(given, weight, bias, padding=weight.shape[-1] // 2, groups=groups)
        with torch.no_grad():
            torch.testing.assert_close(found, layer(given), atol=2e-4, rtol=1e-4)


def test_names_are_the_towers_and_all_of_them() -> None:
    stored, layers = small_network()
    folded = tower_weights(stored)
    assert folded.keys() == {f"{name}.{kind}" for name in layers for kind in ("weight", "bias")}
    assert "blocks.0.expand.weight" not in folded
    assert {value.dtype for value in folded.values()} == {torch.float32}


def test_blocks_are_counted_by_number_and_not_by_name() -> None:
    """``_blocks.9`` comes after ``_blocks.10`` in the alphabet."""
    stored, _ = small_network()
    block = {name.removeprefix("_blocks.1."): value for name, value in stored.items() if name.startswith("_blocks.1.")}
    for number in range(2, 11):
        stored |= {f"_blocks.{number}.{name}": value for name, value in block.items()}
    numbers = {int(name.split(".")[1]) for name in tower_weights(stored) if name.startswith("blocks.")}
    assert numbers == set(range(11))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_dtypes_become_float32(dtype: torch.dtype) -> None:
    stored, _ = small_network()
    given = {name: value.to(dtype) if value.is_floating_point() else value for name, value in stored.items()}
    exact = tower_weights({name: value.double() for name, value in given.items()})
    for name, value in tower_weights(given).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, exact[name])


@pytest.mark.parametrize(
    "missing",
    [
        "_conv_stem.",
        "_bn0.",
        "_conv_head.",
        "_bn1.running_var",
        "_blocks.",
        "_blocks.0.",
        "_blocks.1._bn0.",
        "_blocks.1._bn2.",
    ],
)
def test_another_network_is_a_key_error(missing: str) -> None:
    stored, _ = small_network()
    other = {name: value for name, value in stored.items() if not name.startswith(missing)}
    assert len(other) < len(stored)
    with pytest.raises(KeyError):
        tower_weights(other)


def test_the_classifier_is_given_as_it_is() -> None:
    stored, _ = small_network()
    weights, biases = class_head({name: value.double() for name, value in stored.items()})
    assert (weights.dtype, biases.dtype) == (torch.float32, torch.float32)
    assert torch.equal(weights, stored["_fc.weight"])
    assert torch.equal(biases, stored["_fc.bias"])
    with pytest.raises(KeyError):
        class_head({})
