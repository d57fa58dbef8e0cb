"""A bundle's vision tower, looked into, stopped early, and run with fewer and fewer patches; without torch.

::

    encoder.onnx --parts of it (:mod:`heliograph.codec.onnx_graph`)-->
        pixels -> states behind a block                    what ``split-k`` sends
        pixels -> tokens, queries and keys of a layer      what a tower looks at (:mod:`heliograph.edge.attention`)
        block by block, with attention in between          what ``tome`` and ``dynamicvit`` do without

The encoder's file is as it was exported: nothing is added to it for any of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliograph.codec.onnx_graph import Network
from heliograph.codec.onnx_session import load_network, open_part
from heliograph.edge.attention import (
    LAYER_FROM_END,
    attention_received,
    merged,
    over_heads,
    pooled,
)
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.edge.short_tower import run_short, unit_patches
from heliograph.edge.tower_graph import Block, read_blocks
from heliograph.errors import AnsweringFailedError, AttentionMissingError, ModelUnsupportedError, UsageError
from heliograph.strategies.towers import GREY, AttendedTokens, Shorten, ShortTokens
from heliograph.types import FloatArray, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    from PIL.Image import Image

_RANK = 3  # (1, P, d)
_MAX_DEVIATION = 0.02
"""Of the largest token: rounding moves none by so much, eight bits of activations by less."""


class Parts:
    """Parts of one network, each opened when it is first run.

    Args:
        path: of the network.
        threads: of ONNX Runtime.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._path, self._threads = path, threads
        self._sessions: dict[tuple[Sequence[str], Sequence[str]], Any] = {}

    @cached_property
    def network(self) -> Network:
        """Raises BundleDamagedError where there is none."""
        return load_network(self._path)

    def run(self, outputs: tuple[str, ...], given: dict[str, FloatArray], *, whole: bool = True) -> list[FloatArray]:
        """Values within the network.

        Args:
            outputs: their names.
            given: inputs by name.
            whole: these are the network's own inputs; otherwise values within it, behind which the part begins.

        Raises:
            AnsweringFailedError: the network failed, or gave a value that is not finite.
        """
        key = outputs, () if whole else tuple(given)
        if key not in self._sessions:
            self._sessions[key] = open_part(self.network, *key, self._threads)
        session = self._sessions[key]
        try:
            made: list[FloatArray] = session.run(None, given)
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise AnsweringFailedError from error
        if not all(np.isfinite(one).all() for one in made):
            raise AnsweringFailedError
        return made


class SquareTower:
    """The tower of one square picture, a :class:`heliograph.strategies.towers.DeviceTower`.

    Args:
        path: of the encoder.
        preprocessor: of the bundle.
        grid: how the N tokens lie.
        threads: of ONNX Runtime.

    Raises:
        ModelUnsupportedError: it is no tower of plain blocks.
        BundleDamagedError: it cannot be opened.
    """

    def __init__(self, path: Path, preprocessor: Preprocessor, grid: Grid, threads: int = 1) -> None:
        self._parts, self._preprocessor, self.grid = Parts(path, threads), preprocessor, grid
        self._blocks = read_blocks(self._parts.network)
        self._tokens = self._parts.network.outputs[0]
        self._trusted = False
        self._greys: dict[int, FloatArray] = {}

    @property
    def blocks(self) -> int:
        """How many."""
        return len(self._blocks)

    def states(self, photo: Image, block: int) -> FloatArray:
        """(P, d) float32: what the first ``block`` blocks make of a photo.

        Raises:
            UsageError: there are not more than so many blocks.
            AnsweringFailedError: the encoder failed.
        """
        if not 1 <= block < self.blocks:
            raise UsageError().noted(f"Setting block={block}: this tower can be cut behind 1 to {self.blocks - 1}.")
        (made,) = self._run((self._blocks[block - 1].after,), photo)
        return np.ascontiguousarray(made.reshape(-1, made.shape[-1]), np.float32)

    def grey_states(self, block: int) -> FloatArray:
        """(P, d) float32: what the first ``block`` blocks make of a grey photo; made once.

        Raises:
            UsageError: there are not more than so many blocks.
            AnsweringFailedError: the encoder failed.
        """
        if block not in self._greys:
            from PIL import Image

            side = self._preprocessor.input_size
            self._greys[block] = self.states(Image.new("RGB", (side, side), GREY), block)
        return self._greys[block]

    def attended(self, photo: Image) -> AttendedTokens:
        """Visual tokens, and what the second-last layer looks at.

        Raises:
            AttentionMissingError: there is none such, or its patches make no whole tokens.
            AnsweringFailedError: the encoder failed.
        """
        if self.blocks < LAYER_FROM_END:
            raise AttentionMissingError
        layer = self._blocks[-LAYER_FROM_END]
        made, queries, keys = self._run((self._tokens, layer.queries, layer.keys), photo)
        side, received = merged(queries.shape[1], self.grid), self._received(layer, queries, keys)
        if side is None:
            raise AttentionMissingError
        mean = over_heads(keys[0], layer.facts.heads_of(keys.shape[-1]))
        return AttendedTokens(self._checked(made), pooled(received, self.grid, side), pooled(mean, self.grid, side))

    def first_attention(self, photo: Image) -> FloatArray:
        """(P,) float32: the attention that each patch gets in the first block; what lies behind is not run.

        Raises:
            AttentionMissingError: its heads are not to be told apart.
            AnsweringFailedError: the encoder failed.
        """
        layer = self._blocks[0]
        return self._received(layer, *self._run((layer.queries, layer.keys), photo))

    def shortened(self, photo: Image, shorten: Shorten) -> ShortTokens:
        """Visual tokens of a photo, with fewer units from block to block.

        Raises:
            ModelUnsupportedError: without anything left out, the tokens would not be the encoder's.
            AnsweringFailedError: the encoder failed.
        """
        self._check_parts()
        return self._short(photo, shorten)

    def _short(self, photo: Image, shorten: Shorten) -> ShortTokens:
        def part(outputs: tuple[str, ...], given: dict[str, FloatArray]) -> list[FloatArray]:
            return self._parts.run(outputs, given, whole=False)

        (hidden,) = self._run((self._blocks[0].hidden,), photo)  # (1, P, d)
        side = merged(hidden.shape[1], self.grid) if hidden.ndim == _RANK else None
        if side is None:
            raise ModelUnsupportedError().noted("its patches make no whole tokens.")
        whole, clusters = run_short(part, self._blocks, hidden[0], unit_patches(self.grid, side), shorten)
        (made,) = part((self._tokens,), {self._blocks[-1].after: whole[None]})
        return ShortTokens(self._checked(made), clusters)

    def _check_parts(self) -> None:
        """Hold the blocks run one by one against the encoder as it is, once.

        Raises:
            ModelUnsupportedError: they make other tokens.
        """
        if self._trusted:
            return
        from PIL import Image

        side = self._preprocessor.input_size
        slope = Image.linear_gradient("L").resize((side, side)).convert("RGB")
        try:
            found = self._short(slope, lambda now: None).tokens.values
        except ValueError as error:  # of shapes that do not fit each other
            raise ModelUnsupportedError().noted("its attention is not of the plain kind.") from error
        wanted = self._checked(self._run((self._tokens,), slope)[0]).values
        if np.abs(found - wanted).max() > _MAX_DEVIATION * np.abs(wanted).max():
            raise ModelUnsupportedError().noted("its attention is not of the plain kind.")
        self._trusted = True

    def _checked(self, made: FloatArray) -> VisualTokens:
        tokens = VisualTokens(np.ascontiguousarray(made.reshape(-1, made.shape[-1]), np.float32), self.grid)
        if len(tokens.values) != self.grid.tokens or not tokens_make_sense(tokens.values):
            raise AnsweringFailedError
        return tokens

    def _received(self, layer: Block, queries: FloatArray, keys: FloatArray) -> FloatArray:
        fits = queries.ndim == keys.ndim == _RANK and queries.shape == keys.shape  # (1, P, width)
        if not fits or not layer.facts.heads_of(queries.shape[-1]):
            raise AttentionMissingError
        return attention_received(queries[0], keys[0], layer.facts)

    def _run(self, outputs: tuple[str, ...], photo: Image) -> list[FloatArray]:
        return self._parts.run(outputs, {self._parts.network.inputs[0]: self._preprocessor(photo)})
