"""``python -m heliograph.bench.device.macs_table docs/macs.md``: MACs and FLOPs of the networks that are at hand.

::

    configuration --transformers, on the device meta--> tower and projector | language model --> torch's counter
    the same tower with weights --traced--> ONNX graph, as a device gets it --------------> the counter of graphs
    bundle --> its own graphs ------------------------------------------------------------> the counter of graphs

Weights do not matter and nothing of a meta tensor is computed, so that every checkpoint is counted in seconds; only a
graph is run once, on zeros.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageTextToText, Idefics3ForConditionalGeneration

from heliograph.bench.device.true_shapes import smolvlm_config
from heliograph.bench.macs import FLOPS_PER_MAC, Prefill, count_module, divprune_macs, prefill_of
from heliograph.bench.numbers import number_text
from heliograph.bench.onnx_macs import count_onnx
from heliograph.config import field_folder
from heliograph.errors import HeliographError, OutputUnwritableError
from heliograph.reference.assets import shipped_bundle_folder, shipped_model_folder
from heliograph.reference.recipe import build_processor
from heliograph.training.export.onnx_graphs import trace_square
from heliograph.vlm.efficientnet_lite import register_tower
from heliograph.vlm.square_encoder import SquareEncoder

TEXT_POSITIONS = 32
"""Positions of a prompt that are no visual tokens, in the table: a short question within a chat's turns."""

_MILLION = 1e6
_SHARES = (1.0, 0.5, 0.25, 0.1)
_PAGE = """# MACs and FLOPs

Written by `python -m heliograph.bench.device.macs_table docs/macs.md`. One MAC is a multiplication and an addition, so
two FLOPs. Matrix products, convolutions and attention are counted, in full even where a mask hides half of it; norms,
activations, softmax and embeddings are not, nor are `klt`'s transform and entropy coding, which are no networks.
Weights do not matter. *torch* counts a pass of the model's own modules (`torch.utils.flop_counter`), *ONNX* the
graph that a device gets, from the shapes of one run; where both are there they agree to the last MAC.
"""
_PREFILL = """## Prefill: what fewer visual tokens save in the cloud

A first pass over n positions takes a n² + b n + c MACs, exactly: passes of four lengths are counted, and the fourth
lies on the polynomial of the first three; c is the logits of the last position. *DivPrune* is its formula,
T (4 n d² + 2 n² d + 2 n d m) (arXiv 2503.02175), over the count: it takes two matrices for a gated feed-forward part of
three, and keys and values of every head where heads share them.
"""


@dataclass(frozen=True)
class Network:
    """One network on one input.

    Attributes:
        model, part: whose it is, and which.
        given: its input in words.
        torch_macs, onnx_macs: counted either way; None where it was not.
    """

    model: str
    part: str
    given: str
    torch_macs: int | None = None
    onnx_macs: int | None = None

    @property
    def macs(self) -> int:
        """MACs of the pass, or where there is none of the graph."""
        counted = self.torch_macs if self.torch_macs is not None else self.onnx_macs
        assert counted is not None
        return counted


@dataclass(frozen=True)
class LanguageModel:
    """A language model's first pass.

    Attributes:
        model: whose it is.
        layers, width, intermediate, heads, key_heads: its shape.
        visual_tokens: that a whole photo has in the table.
        prefill: MACs of n positions.
    """

    model: str
    layers: int
    width: int
    intermediate: int
    heads: int
    key_heads: int
    visual_tokens: int
    prefill: Prefill

    def divprune(self, positions: int) -> float:
        """DivPrune's formula over the true count."""
        formula = divprune_macs(self.layers, positions, self.width, self.intermediate)
        return formula / self.prefill.macs(positions)


class Features(nn.Module):
    """Pixels (1, 3, S, S) to the visual tokens of a LLaVA, (1, N, D).

    Args:
        model: of transformers.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        """See the class."""
        made = self.model.get_image_features(pixel_values=pixel_values)
        tokens = getattr(made, "pooler_output", made)
        return torch.stack(list(tokens))


def on_meta(config: Any) -> Any:
    """A model of that configuration without memory for its weights."""
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config).eval()


def reference_networks() -> tuple[list[Network], LanguageModel]:
    """The shipped model and the graphs of its bundle."""
    config = AutoConfig.from_pretrained(shipped_model_folder())
    model, side = on_meta(config), int(config.vision_config.image_size)
    bundle, name = shipped_bundle_folder(), "reference model"
    pixels = np.zeros((1, 3, side, side), np.float32)
    tokens = np.zeros((1, 64, config.text_config.hidden_size), np.float32)
    latents, known = np.zeros((1, 56, 8), np.float32), np.ones((1, 56), np.bool_)
    found = [
        Network(
            name,
            "tower and projector",
            f"{side} x {side} pixels",
            count_module(SquareEncoder(model), *pixels.shape).macs,
            count_onnx(bundle / "encoder.onnx", {"pixel_values": pixels}).macs,
        ),
        Network(
            name,
            "`meta`, encoder (device)",
            "64 tokens of 128",
            onnx_macs=count_onnx(bundle / "meta_encoder.onnx", {"tokens": tokens}).macs,
        ),
        Network(
            name,
            "`meta`, decoder (cloud)",
            "56 latents of 8",
            onnx_macs=count_onnx(bundle / "meta_decoder.onnx", {"latents": latents, "known": known}).macs,
        ),
    ]
    return found, _language(name, model, config.text_config, 64)


def smolvlm_networks(*, graph: bool) -> tuple[list[Network], LanguageModel]:
    """SmolVLM-256M's shapes.

    Args:
        graph: also trace the tower, with random weights, and count the graph.
    """
    config = smolvlm_config(build_processor())
    with torch.device("meta"):
        model = Idefics3ForConditionalGeneration(config).eval()
    side, name = int(config.vision_config.image_size), "SmolVLM-256M's shapes"
    macs = count_module(SquareEncoder(model), 1, 3, side, side).macs
    onnx_macs = None
    if graph:
        torch.manual_seed(0)
        onnx_macs = _traced_macs(SquareEncoder(Idefics3ForConditionalGeneration(config).eval()), side)
    found = [Network(name, "tower and projector, one frame", f"{side} x {side} pixels", macs, onnx_macs)]
    return found, _language(name, model, config.text_config, 17 * 64)


def field_networks(folder: Path) -> tuple[list[Network], LanguageModel]:
    """The field model in an assembled folder.

    Raises:
        OSError: there is none.
    """
    register_tower()
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    model, tower = on_meta(config), config.vision_config
    side, name = int(tower.image_size), "field model"
    macs = count_module(Features(model), 1, 3, side, side).macs
    held = AutoModelForImageTextToText.from_config(config).float().eval()
    found = [Network(name, "tower and projector", f"{side} x {side} pixels", macs, _traced_macs(Features(held), side))]
    return found, _language(name, model, config.text_config, int(tower.grid) ** 2)


def _language(name: str, model: Any, text: Any, visual_tokens: int) -> LanguageModel:
    return LanguageModel(
        name,
        int(text.num_hidden_layers),
        int(text.hidden_size),
        int(text.intermediate_size),
        int(text.num_attention_heads),
        int(text.num_key_value_heads),
        visual_tokens,
        prefill_of(model),
    )


def _traced_macs(module: nn.Module, side: int) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "encoder.onnx"
        trace_square(module, path, side)
        return count_onnx(path, {"pixel_values": np.zeros((1, 3, side, side), np.float32)}).macs


# ---- the page ----------------------------------------------------------------------------------------
def page(networks: list[Network], languages: list[LanguageModel]) -> str:
    """The whole page."""
    return "\n".join([_PAGE, *_network_lines(networks), *_language_lines(languages)])


def _network_lines(networks: list[Network]) -> Iterator[str]:
    yield "## Vision towers and the learned codec"
    yield ""
    yield "| model | part | input | MACs, millions | FLOPs, millions | torch | ONNX |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in networks:
        counted = (_exact(one.torch_macs), _exact(one.onnx_macs))
        cells = (one.model, one.part, one.given, _millions(one.macs), _millions(FLOPS_PER_MAC * one.macs), *counted)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _language_lines(languages: list[LanguageModel]) -> Iterator[str]:
    yield _PREFILL
    yield "| model | layers, width, inner width | heads (of keys) | a | b | c | DivPrune / count |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in languages:
        shape = f"{one.layers}, {one.width}, {one.intermediate:,}"
        poly = one.prefill
        ratio = f"{one.divprune(one.visual_tokens + TEXT_POSITIONS):.3f}"
        yield (
            f"| {one.model} | {shape} | {one.heads} ({one.key_heads}) | {poly.square:,} | {poly.linear:,} | "
            f"{poly.constant:,} | {ratio} |"
        )
    yield ""
    yield f"MACs, millions (FLOPs are twice as many), of a prompt with {TEXT_POSITIONS} positions of text:"
    yield ""
    yield f"| model | {' | '.join(f'{share:.0%} of the visual tokens' for share in _SHARES)} | none |"
    yield f"| --- | {' | '.join('---' for _ in _SHARES)} | --- |"
    for one in languages:
        whole = one.prefill.macs(one.visual_tokens + TEXT_POSITIONS)
        cells = []
        for share in (*_SHARES, 0.0):
            kept = round(share * one.visual_tokens)
            macs = one.prefill.macs(kept + TEXT_POSITIONS)
            cells.append(f"{_millions(macs)} ({kept} tokens, {macs / whole:.2f})")
        yield f"| {one.model} | {' | '.join(cells)} |"
    yield ""


def _millions(count: int) -> str:
    return number_text(count / _MILLION)


def _exact(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="page to write, such as docs/macs.md")
    parser.add_argument("--json", type=Path, help="also write the counts into this file")
    arguments = parser.parse_args()
    try:
        parts = [reference_networks(), smolvlm_networks(graph=True), field_networks(field_folder() / "model")]
        networks = [one for found, _ in parts for one in found]
        languages = [language for _, language in parts]
        try:
            arguments.out.write_text(page(networks, languages), encoding="utf-8")
            if arguments.json is not None:
                facts = {"networks": [asdict(one) for one in networks], "prefill": [asdict(one) for one in languages]}
                arguments.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputUnwritableError().noted(f"{arguments.out}: {error.strerror}.") from error
    except HeliographError as error:
        print(" ".join([str(error), *getattr(error, "__notes__", ())]), file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
