"""The language model on the device: an answer without torch and without a link (full-edge in arXiv 2604.26508).

Files of the bundle, beside each other: ``language_model.onnx``, ``tokenizer.json``, ``local_prompt.json``. The
network's border (float32 unless stated otherwise; P cached positions, L new ones, N visual tokens of width D)::

    input_ids (1, L) int64 ------------+
    image_features (M, D) -------------+   M = N where the ids hold N placeholders, 0 afterwards
    past_keys (layers, H, P, head) ----+--> logits (1, V) of the last position
    past_values (layers, H, P, head) --+--> present_keys, present_values (layers, H, P + L, head)

Decoding is greedy, and the confidence is that of the cloud (:func:`heliograph.types.confidence_of`). The language model
of a checkpoint whose generation config changes which tokens are generated is not exported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from heliograph.codec.onnx_session import open_session
from heliograph.edge.local.prompt import LocalPrompt
from heliograph.errors import AnsweringFailedError, BundleDamagedError, QuestionTooLongError, ShapeError, UsageError
from heliograph.question import DEFAULT_ANSWER_TOKENS
from heliograph.reasons import BundleFault, BundlePart
from heliograph.types import LARGEST_LOGIT, Answer, FloatArray, VisualTokens, confidence_of

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle

_INPUTS = ("input_ids", "image_features", "past_keys", "past_values")
_OUTPUTS = ("logits", "present_keys", "present_values")


class LocalModel:
    """Answers questions about visual tokens.

    Args:
        path: ``language_model.onnx``.
        prompt: of the same checkpoint.
        threads: of ONNX Runtime.

    Raises:
        BundleDamagedError: no network, or one with another border.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, path: Path, prompt: LocalPrompt, threads: int = 1) -> None:
        self._session = open_session(path, threads)
        self._prompt = prompt
        shapes = {entry.name: entry.shape for entry in self._session.get_inputs()}
        outputs = {entry.name for entry in self._session.get_outputs()}
        if set(shapes) != set(_INPUTS) or not outputs.issuperset(_OUTPUTS):
            raise BundleDamagedError(BundlePart.LOCAL_MODEL, BundleFault.BORDER)
        layers, heads, _, head_size = shapes["past_keys"]
        width = shapes["image_features"][-1]
        if not all(isinstance(size, int) for size in (layers, heads, head_size, width)):
            raise BundleDamagedError(BundlePart.LOCAL_MODEL, BundleFault.BORDER)
        self._empty_cache = np.zeros((layers, heads, 0, head_size), np.float32)
        self._no_features = np.zeros((0, width), np.float32)

    @classmethod
    def from_bundle(cls, bundle: Bundle, threads: int = 1) -> Self:
        """The bundle's local model.

        Raises:
            BundleDamagedError: the bundle was exported without one, or its files are damaged.
        """
        path = bundle.local_model_path
        if path is None:
            raise BundleDamagedError(BundlePart.LOCAL_MODEL, BundleFault.UNNAMED).noted(
                f"{bundle.folder}: it answers no question by itself. That of the reference model is in the wheel "
                "heliograph-cloud."
            )
        return cls(path, LocalPrompt.load(path.parent), threads)

    def answer(self, question: str, tokens: VisualTokens, *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS) -> Answer:
        """The greedy answer to ``question`` about one photo.

        Args:
            question: 1 to 2000 characters.
            tokens: the photo's visual tokens, (N, D).
            max_new_tokens: at least 1.

        Raises:
            QuestionEmptyError, QuestionTooLongError: it cannot be asked.
            ShapeError: the tokens do not fit the prompt.
            UsageError: no new token is allowed.
            AnsweringFailedError: the network failed, or gave a value that is not finite.
        """
        ids = self._prompt.ids(question)
        pieces = self._prompt.pieces
        if max_new_tokens < 1:
            raise UsageError.of_argument("max_new_tokens", "1 or more", max_new_tokens)
        if len(ids) + max_new_tokens > pieces.max_positions:
            raise QuestionTooLongError
        wanted = ids.count(pieces.image_token_id), self._no_features.shape[1]
        if tokens.values.shape != wanted:
            raise ShapeError().noted(f"the local model takes tokens of shape {wanted}, not {tokens.values.shape}.")
        steps = list(self._greedy(ids, tokens.values, max_new_tokens))
        content = [step for step in steps if step.token_id not in pieces.end_ids]
        counted = content or steps  # of an empty answer the end token is all there is
        mean_bits = fmean(step.bits for step in counted)
        generated = [step.token_id for step in content]
        text = self._prompt.text(generated)
        return Answer(
            text,
            confidence_of(text, mean_bits),
            mean_bits,
            tuple(generated),
            fmean(step.entropy_bits for step in counted),
            fmean(step.margin for step in counted),
            tuple(step.bits for step in counted),
        )

    def _greedy(self, ids: tuple[int, ...], features: FloatArray, limit: int) -> Iterator[_Step]:
        """Yield at most ``limit`` steps; that of the end token is yielded, then it stops."""
        keys = values = self._empty_cache
        new = np.asarray([ids], np.int64)
        for _ in range(limit):
            logits, keys, values = self._run(new, features, keys, values)
            step = _step(logits)
            yield step
            if step.token_id in self._prompt.pieces.end_ids:
                return
            new, features = np.asarray([[step.token_id]], np.int64), self._no_features

    def _run(
        self, ids: np.ndarray, features: FloatArray, keys: FloatArray, values: FloatArray
    ) -> tuple[npt.NDArray[np.float64], FloatArray, FloatArray]:
        given = dict(zip(_INPUTS, (ids, np.ascontiguousarray(features, np.float32), keys, values), strict=True))
        try:
            logits, keys, values = self._session.run(list(_OUTPUTS), given)
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise AnsweringFailedError from error
        last = np.asarray(logits, np.float64).reshape(-1, logits.shape[-1])[-1]
        if not (np.isfinite(last).all() and last.max() < LARGEST_LOGIT):
            raise AnsweringFailedError
        return last, keys, values


@dataclass(frozen=True)
class _Step:
    """One generated token.

    Attributes:
        token_id: the likeliest token, of equal ones the first.
        bits: -log2 of its probability.
        entropy_bits: Shannon entropy of all tokens' probabilities.
        margin: its probability less that of the next one.
    """

    token_id: int
    bits: float
    entropy_bits: float
    margin: float


def _step(logits: npt.NDArray[np.float64]) -> _Step:
    """The likeliest token of ``logits`` (V,), all finite, and how sure the model was of it."""
    token_id = int(logits.argmax())
    below = logits - logits[token_id]  # (V,), 0 at the likeliest
    weights = np.exp(below)
    total = float(weights.sum())
    entropy = math.log(total) - float(weights @ below) / total
    others = np.delete(weights, token_id)
    margin = (1.0 - float(others.max(initial=0.0))) / total
    return _Step(token_id, max(0.0, math.log2(total)), max(0.0, entropy / math.log(2)), margin)
