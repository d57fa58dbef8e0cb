"""The networks of an exported ``meta`` as modules again: what shipped, to be learned around while it stays as it is.

Graphs name biases and parameters as the modules do; a matrix is found by the bias that is added behind it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import numpy_helper

from heliograph.codec.meta import DECODER, ENCODER, MetaCodec
from heliograph.training.export.onnx_files import load_whole
from heliograph.training.meta.network import Coder, MetaSizes, TokenSpace

Values = dict[str, npt.NDArray[Any]]

_STORED = (".half", ".levels", ".scale")


def trained_meta(folder: Path, codec: MetaCodec, heads: int = 4) -> tuple[TokenSpace, Coder]:
    """Space and coder of the codec in a folder, their gradients off; the rate model is no part of a codec and stays
    as it was made.

    Args:
        folder: of codec or bundle.
        codec: loaded from there.
        heads: of attention, which no weight tells.
    """
    weights = {**_weights(folder / ENCODER), **_weights(folder / DECODER)}
    latents, grid = codec.tables.latents, codec.grid
    width = weights["encoder.queries"].shape[1]
    sizes = MetaSizes(
        grid.rows,
        grid.columns,
        weights["space.analysis"].shape[1],
        latents=latents.latents,
        channels=latents.channels,
        width=width,
        encoder_layers=_layers(weights, "encoder"),
        decoder_layers=_layers(weights, "decoder"),
        heads=heads,
        reach=latents.reach,
    )
    coder = Coder(sizes)
    known = coder.state_dict()
    given = {name: torch.from_numpy(weights[name].copy()) for name in known if name in weights}
    missing = [name for name in known if name not in given and not name.startswith("rate.")]
    if missing:
        raise ValueError(f"the graphs do not tell {missing[:3]}")
    coder.load_state_dict({**known, **given})
    mean, analysis, synthesis = (
        torch.from_numpy(weights[f"space.{name}"].copy()) for name in ("mean", "analysis", "synthesis")
    )
    space = TokenSpace(mean, analysis, synthesis)
    for module in (space, coder):
        module.requires_grad_(False)
    return space, coder


def _layers(weights: Values, end: str) -> int:
    return len({name.split(".")[2] for name in weights if name.startswith(f"{end}.blocks.")})


def _weights(path: Path) -> Values:
    """Parameters by the names that modules give them."""
    graph = load_whole(path).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    found: Values = {}
    for name, values in stored.items():
        plain = next((name.removesuffix(end) for end in _STORED if name.endswith(end)), name)
        if name.endswith(".scale"):
            continue
        found[plain] = values.astype(np.float32) * (stored[f"{plain}.scale"] if name.endswith(".levels") else 1)
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type == "Add":
            for bias, product in (node.input, reversed(node.input)):
                if str(bias).endswith(".bias") and product in products and products[product] in found:
                    found[str(bias).removesuffix("bias") + "weight"] = found[products[product]].T
    return found
