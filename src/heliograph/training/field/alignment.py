"""The small part of the field model that is trained here: what joins the two pretrained halves.

::

    tower: LayerNorm, positions      2 x 1280, 25 x 1280
    projector: two linear layers     1280 -> 576 -> 576
    language model, every layer      low-rank additions to the query and value projections (LoRA, arXiv 2106.09685)

Stored in float16, a few megabytes; none of the parts' own weights are in it. Merging adds ``scale * up @ down`` to the
projections, after which the language model is one like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from heliograph.errors import ModelUnavailableError

OPEN_FILE, CAPTIONS_FILE = "alignment-open.safetensors", "alignment.safetensors"
"""What photos of open licences have taught, and what captions for research alone have taught as well."""

SHIPPED = Path(__file__).parent / "weights"
"""Folder of the alignments that ship, with their card, and of the codecs that were fitted on the model they make."""

PROJECTIONS = ("q_proj", "v_proj")
LORA_SCALE = 2.0
_LORA = "language_model."


class LowRank(nn.Module):
    """A frozen linear layer with a low-rank addition, which is nothing at first.

    Args:
        base: the layer, with shapes (out, in).
        rank: of the addition.
        generator: draws the first factor.
    """

    def __init__(self, base: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        drawn = torch.randn(rank, base.in_features, generator=generator) / base.in_features**0.5
        self.down = nn.Parameter(drawn)  # (rank, in)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))  # (out, rank)

    def forward(self, given: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        added = functional.linear(functional.linear(given, self.down), self.up)
        made: Tensor = self.base(given) + LORA_SCALE * added
        return made


def join_halves(model: Any) -> nn.ModuleDict:
    """What is trained between the halves: modules of ``model`` itself, a field LLaVA."""
    tower = model.model.vision_tower
    return nn.ModuleDict({"norm": tower.norm, "projector": model.model.multi_modal_projector})


def add_low_rank(model: Any, rank: int, seed: int) -> dict[str, LowRank]:
    """Put low-rank additions into a field LLaVA's language model; by the names under which they are stored."""
    generator = torch.Generator().manual_seed(seed)
    made: dict[str, LowRank] = {}
    for number, layer in enumerate(model.model.language_model.layers):
        for name in PROJECTIONS:
            added = LowRank(getattr(layer.self_attn, name), rank, generator)
            setattr(layer.self_attn, name, added)
            made[f"{_LORA}{number}.{name}"] = added
    return made


def collect(model: Any, additions: Mapping[str, LowRank]) -> dict[str, Tensor]:
    """Everything that is trained, float32, in the names of the file."""
    made = {"positions": model.model.vision_tower.positions.detach()}
    made |= {name: value.detach() for name, value in join_halves(model).state_dict().items()}
    for name, added in additions.items():
        made |= {f"{name}.down": added.down.detach(), f"{name}.up": added.up.detach()}
    return {name: value.float().clone() for name, value in made.items()}


def save_alignment(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a file in float16."""
    save_file({name: value.half().contiguous() for name, value in weights.items()}, str(path))
    path.chmod(0o644)


def load_alignment(path: Path) -> dict[str, Tensor]:
    """Read a file, as float32.

    Raises:
        ModelUnavailableError: there is none, or it is damaged.
    """
    try:
        return {name: value.float() for name, value in load_file(str(path)).items()}
    except (OSError, SafetensorError) as error:
        raise ModelUnavailableError().about(
            f"{path}: no alignment of the field model", "reinstall Heliograph"
        ) from error


def merge(model: Any, weights: Mapping[str, Tensor]) -> None:
    """Put an alignment into a field LLaVA without additions of its own.

    Raises:
        ModelUnavailableError: it belongs to a model of other shapes.
    """
    try:
        between = {name: value for name, value in weights.items() if not name.startswith(_LORA) and name != "positions"}
        join_halves(model).load_state_dict(between)
        model.model.vision_tower.positions.data.copy_(weights["positions"])
        for name in sorted({name.rpartition(".")[0] for name in weights if name.startswith(_LORA)}):
            _, number, projection = name.split(".")
            layer = getattr(model.model.language_model.layers[int(number)].self_attn, projection)
            up, down = (weights[f"{name}.{part}"].double() for part in ("up", "down"))
            layer.weight.data += (LORA_SCALE * up @ down).to(layer.weight.dtype)  # the same numbers on every machine
    except (RuntimeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise ModelUnavailableError().noted("The alignment belongs to a field model of other shapes.") from error
