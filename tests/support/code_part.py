"""A part of ``tokens-1d`` small enough to see through: codes are sums of rows, tokens are what the codes say."""

from __future__ import annotations

from typing import Any

import numpy as np

from heliograph.codec.code_prior import CodePrior, fit_code_prior
from heliograph.codec.parts import Part
from heliograph.types import Grid

SMALL_PART = "tokens-1d"
IDENTITY = b"\x51\x0c"
CODES, GROUPS, GROUP_SIZE = 6, 4, 8
WORDS = GROUPS * GROUP_SIZE


def small_prior() -> CodePrior:
    """Tables counted on codes that follow each other: what comes next is near what came before."""
    steps = np.arange(400)[:, None] * 7 + np.arange(CODES)[None] * 3
    return fit_code_prior((steps + steps // 5) % WORDS, GROUPS, GROUP_SIZE)


class CodeNetworks:
    """Encoder and decoder in integers, with the face of ONNX Runtime's sessions."""

    def __init__(self, stem: str) -> None:
        self.stem = stem

    def run(self, names: None, given: dict[str, Any]) -> list[Any]:
        if self.stem == "encoder":
            sums = np.rint(np.abs(given["tokens"]).sum(axis=2)).astype(np.int64)  # (T, n)
            return [(sums[:, :CODES] + np.arange(CODES)) % WORDS]
        told = np.where(given["known"], given["codes"] + 1, 0)  # (T, K)
        tiles, shape = len(told), self.shape
        made = np.zeros((tiles, *shape), np.float32)
        made[:, :CODES, 0] = told
        return [made]

    shape = (0, 0)


class SmallPart(Part):
    """The part; its files are in memory."""

    def network(self, stem: str, threads: int = 1) -> Any:
        facts, _ = self.tables
        networks = CodeNetworks(stem)
        networks.shape = (facts["grid"][0] * facts["grid"][1], facts["hidden_size"])
        return networks

    @property
    def tables(self) -> Any:  # type: ignore[override]
        return self.card["facts"], self.card["arrays"]


def small_part(grid: Grid, hidden_size: int, identity: bytes = IDENTITY) -> Part:
    """The part for tokens of a grid and a width."""
    prior = small_prior()
    facts = {"grid": [grid.rows, grid.columns, grid.tiles, 0, 0], "hidden_size": hidden_size}
    arrays = {name: getattr(prior, name).astype(np.int32) for name in CodePrior.ARRAYS}
    card = {"facts": facts, "arrays": arrays}
    return SmallPart("tokens-1d", None, card, identity, frozenset())  # type: ignore[arg-type]
