"""A part of the bottlenecks small enough to see through: latents are a picture's levels, tokens say what came."""

from __future__ import annotations

from typing import Any

import numpy as np

from heliograph.codec.channel_tables import ChannelTables, fit_channel_tables
from heliograph.codec.parts import Part
from heliograph.types import Grid

IDENTITY = b"\xb0\x77"
RATES, CHANNELS, SIDE, ROWS = 6, 3, 128, 8
REACH = 40


def small_tables() -> ChannelTables:
    """Counted on numbers that are the wider the finer the rate is."""
    steps = np.arange(300)[:, None, None] * 7 + np.arange(CHANNELS)[:, None] * 3 + np.arange(4)
    ranges = [2 + 3 * rate for rate in range(RATES)]
    return fit_channel_tables([(steps + steps // 5) % (2 * one + 1) - one for one in ranges], REACH)


class BottleneckNetworks:
    """Encoder and decoder with the face of ONNX Runtime's sessions."""

    def __init__(self, stem: str, tokens: int, hidden_size: int) -> None:
        self._stem, self._shape = stem, (1, tokens, hidden_size)

    def run(self, names: None, given: dict[str, Any]) -> list[Any]:
        if self._stem == "encoder":
            return [given["pixels"][:, :, ::16, ::16] / 16 - 8]  # (1, 3, 8, 8)
        made = np.zeros(self._shape, np.float32)
        made[0, : ROWS * ROWS, :CHANNELS] = given["latents"][0].reshape(CHANNELS, -1).T
        made[0, :, CHANNELS] = given["rate"][0]
        return [made]


class SmallBottleneck(Part):
    """The part; its files are in memory."""

    def network(self, stem: str, threads: int = 1) -> Any:
        facts, _ = self.tables
        return BottleneckNetworks(stem, facts["grid"][0] * facts["grid"][1], facts["hidden_size"])

    @property
    def tables(self) -> Any:  # type: ignore[override]
        return self.card["facts"], self.card["arrays"]


def bottleneck_part(name: str, grid: Grid, hidden_size: int, identity: bytes = IDENTITY, **other: Any) -> Part:
    """The part for tokens of a grid and a width; ``other`` facts or arrays in the place of its own."""
    facts = {"grid": [grid.rows, grid.columns, grid.tiles, 0, 0], "hidden_size": hidden_size}
    facts |= {"side": SIDE, "rows": ROWS, "columns": ROWS}
    gains = np.full((RATES, CHANNELS), 1, np.float32) * np.linspace(0.1, 2, RATES, dtype=np.float32)[:, None]
    arrays = {"borders": small_tables().borders.astype(np.int32), "gains": gains}
    card = {
        "facts": facts | {key: value for key, value in other.items() if key in facts},
        "arrays": arrays | {key: value for key, value in other.items() if key in arrays},
    }
    return SmallBottleneck(name, None, card, identity, frozenset())  # type: ignore[arg-type]
