"""Where to look in a photo, by the networks of a device's bundle: its :class:`heliograph.strategies.base.Sight`.

::

    question, tokens (N, D) --language_model.onnx--> attention of one layer (H, L, L) --region.json--> (rows, columns)
    photo --encoder.onnx--> attention that each patch gets in its first block --> (rows, columns)

Neither network is exported anew: a part of it ends at the attention within (:mod:`heliograph.codec.onnx_graph`), and
what lies behind is not run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliograph.codec.onnx_graph import Network
from heliograph.codec.onnx_session import load_network, open_part
from heliograph.controllers.region.find import RegionSetting
from heliograph.edge.local.prompt import LocalPrompt
from heliograph.edge.tower import SquareTower
from heliograph.errors import AnsweringFailedError, BundleDamagedError, ModelUnsupportedError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.types import FloatArray, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.bundle import Bundle

SOFTMAX = "Softmax"
"""Operator whose results are a layer's attention."""


class BundleSight:
    """What a bundle's networks know of where to look; each is opened when it is first asked.

    Args:
        bundle: of the device.
        tower: makes the bundle's vision tower, or raises ModelUnsupportedError.
        threads: of ONNX Runtime.
    """

    def __init__(self, bundle: Bundle, tower: Callable[[], SquareTower], threads: int = 1) -> None:
        self._bundle, self._tower, self._threads = bundle, tower, threads

    def question_map(self, question: str, tokens: VisualTokens) -> FloatArray | None:
        """(rows, columns) float32 of what the bundle's language model looks at for this question; None where the bundle
        holds no such model, its attention cannot be read, the photo lies in several tiles, or the question is too long.

        Raises:
            QuestionEmptyError, UsageError: it cannot be asked.
            BundleDamagedError: the model cannot be run.
            AnsweringFailedError: its attention is not finite.
        """
        found = self._language
        return None if found is None or tokens.grid.tiles != 1 else found(question, tokens)

    def shallow_map(self, photo: Image) -> FloatArray:
        """(rows, columns) float32: the attention that each patch gets in the vision tower's first layer, mean over
        heads and over the patches that look.

        Raises:
            ModelUnsupportedError: the encoder takes other photos than one square, or has no attention to be read.
            BundleDamagedError: it cannot be run.
        """
        received = self._tower().first_attention(photo)
        side = math.isqrt(len(received))
        if side * side != len(received):
            raise ModelUnsupportedError().noted("the patches of its vision tower are no square.")
        return received.reshape(side, side)

    @cached_property
    def _language(self) -> _QuestionAttention | None:
        path = self._bundle.local_model_path
        return None if path is None else _QuestionAttention.opened(self._bundle, path, self._threads)


class _Attention:
    """One layer's attention in a network, and nothing behind it.

    Args:
        network: the whole.
        output: name of the value within it.
        threads: of ONNX Runtime.
    """

    def __init__(self, network: Network, output: str, threads: int) -> None:
        self._session = open_part(network, [output], threads=threads)
        self.shapes = {entry.name: entry.shape for entry in self._session.get_inputs()}

    def __call__(self, *inputs: Any) -> FloatArray:
        """(H, L, L) float32, of inputs in the network's own order.

        Raises:
            AnsweringFailedError: the network failed, or gave a value that is not finite.
        """
        try:
            (made,) = self._session.run(None, dict(zip(self.shapes, inputs, strict=False)))
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise AnsweringFailedError from error
        values = np.asarray(made[0], np.float32)
        if not np.isfinite(values).all():
            raise AnsweringFailedError
        return values


class _QuestionAttention:
    """Attention from the end of a prompt to the visual tokens, read as the bundle's ``region.json`` says; without one,
    the mean over the heads of the middle layer."""

    def __init__(self, attention: _Attention, prompt: LocalPrompt, setting: RegionSetting) -> None:
        self._attention, self._prompt, self._setting = attention, prompt, setting
        layers, heads, _, head_size = attention.shapes["past_keys"]
        self._past = np.zeros((layers, heads, 0, head_size), np.float32)
        self._generic: tuple[VisualTokens, FloatArray] | None = None

    @classmethod
    def opened(cls, bundle: Bundle, path: Path, threads: int) -> _QuestionAttention | None:
        """None for a network in which not every layer's attention is to be found."""
        network = load_network(path)
        outputs = network.made_by(SOFTMAX)
        setting = RegionSetting.of(bundle) or RegionSetting(layer=len(outputs) // 2)
        if setting.layer >= len(outputs):
            return None
        attention = _Attention(network, outputs[setting.layer], threads)
        if "past_keys" not in attention.shapes:
            raise BundleDamagedError(BundlePart.LOCAL_MODEL, BundleFault.BORDER)
        if attention.shapes["past_keys"][0] != len(outputs):
            return None
        return cls(attention, LocalPrompt.load(path.parent), setting)

    def __call__(self, question: str, tokens: VisualTokens) -> FloatArray | None:
        own = self._maps(question, tokens, self._setting.prompt_rows)
        generic = self._generic_maps(tokens) if self._setting.generic_question else None
        if own is None or (generic is None and self._setting.generic_question):
            return None
        return np.ascontiguousarray(self._setting.relative(own, generic), np.float32)

    def _generic_maps(self, tokens: VisualTokens) -> FloatArray | None:
        """(H, rows, columns) of the question that asks for nothing in particular; the same tokens are asked once."""
        if self._generic is None or self._generic[0] is not tokens:
            made = self._maps(self._setting.generic_question, tokens, 1)
            if made is None:
                return None
            self._generic = tokens, made[0]
        return self._generic[1]

    def _maps(self, question: str, tokens: VisualTokens, rows: int) -> FloatArray | None:
        """(P, H, rows, columns) of the last P positions; None for a prompt that the model has no room for."""
        ids, grid = self._prompt.ids(question), tokens.grid
        pieces = self._prompt.pieces
        if len(ids) > pieces.max_positions or ids.count(pieces.image_token_id) != grid.tokens:
            return None
        new = np.asarray([ids], np.int64)
        made = self._attention(new, np.ascontiguousarray(tokens.values, np.float32), self._past, self._past)
        places = np.flatnonzero(new[0] == pieces.image_token_id)
        seen = made[:, -rows:, :][:, :, places].transpose(1, 0, 2)  # (P, H, N)
        return np.ascontiguousarray(seen.reshape(rows, -1, grid.rows, grid.columns))
