"""The error head: what a prefix of ``meta`` lets its receiver expect, before any answer is made.

After the cloud-side quality prediction of arXiv 2604.26508, which predicts the similarity of answers; this one
predicts the error of the restored tokens and the chance that the answer is not that of uncompressed tokens. It sees
the integers that have arrived and, where there is one, the words of the question: a photo with much in it is hard at
any rate, and counting is harder than naming a colour.

::

    integers (T, K, c), count --sizes of the known latents--> (3 + K,) --\\
    question --hashed words--> (64,) ------------------------------------+--> 32 hidden --> token error, chance
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from math import exp, sqrt
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_shape, check_weights
from heliograph.errors import AnsweringFailedError, BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.types import FloatArray

WORD_BUCKETS = 64
_SHARES = 3
_MAX_WORDS = 64
_MAX_HIDDEN = 4096
_MAX_LOGIT = 30.0

Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Expectation:
    """What a prefix lets its receiver expect.

    Attributes:
        token_error: squared error of the restored features as a share of the energy of an average photo's.
        answer_differs: chance that the answer is another than that from uncompressed tokens.
    """

    token_error: float
    answer_differs: float


@dataclass(frozen=True)
class ErrorHead:
    """Weights, float32.

    Attributes:
        hidden_weights: (3 + K + 64, H).
        hidden_bias: (H,).
        out_weights: (H, 2), to the logarithm of the token error and the log-odds of another answer.
        out_bias: (2,).
    """

    hidden_weights: FloatArray
    hidden_bias: FloatArray
    out_weights: FloatArray
    out_bias: FloatArray

    ARRAYS: ClassVar[tuple[str, ...]] = ("hidden_weights", "hidden_bias", "out_weights", "out_bias")

    def check(self, latents: int) -> None:
        """Refuse what no training writes.

        Raises:
            BundleDamagedError: shapes do not fit ``latents`` (K), or a weight is no number or absurdly large.
        """
        if self.hidden_bias.ndim != 1 or not 1 <= len(self.hidden_bias) <= _MAX_HIDDEN:
            raise BundleDamagedError(BundlePart.ERROR_HEAD, BundleFault.SHAPE)
        hidden = len(self.hidden_bias)
        wanted = {
            "hidden_weights": (feature_count(latents), hidden),
            "out_weights": (hidden, 2),
            "out_bias": (2,),
        }
        for name, shape in wanted.items():
            check_shape(BundlePart.ERROR_HEAD, getattr(self, name), shape)
        check_weights(BundlePart.ERROR_HEAD, *(getattr(self, name) for name in self.ARRAYS))

    def expect(self, latents: Int, count: int, question: str = "") -> Expectation:
        """What to expect of the first ``count`` latents, in coding order, of (T, K, c) integers.

        Raises:
            AnsweringFailedError: the weights make of them what is no number.
        """
        seen = np.concatenate([prefix_features(latents, count), question_features(question)])
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            hidden = np.maximum(seen @ self.hidden_weights + self.hidden_bias, 0)
            made = hidden @ self.out_weights + self.out_bias
        if not np.all(np.isfinite(made)):
            raise AnsweringFailedError
        error, odds = np.clip(made, -_MAX_LOGIT, _MAX_LOGIT).tolist()
        return Expectation(exp(error), 1 / (1 + exp(-odds)))


def feature_count(latents: int) -> int:
    """Inputs of the head for K latents a tile."""
    return _SHARES + latents + WORD_BUCKETS


def prefix_features(latents: Int, count: int) -> FloatArray:
    """(3 + K,) float32 of a prefix: how much of the stream it is, and how large its latents are, mean over tiles.

    Args:
        latents: (T, K, c) integers; what is not known may hold anything.
        count: latents known, in coding order.
    """
    tiles, size, _ = latents.shape
    order = np.arange(size)[None] * tiles + np.arange(tiles)[:, None]  # (T, K)
    magnitude = np.log1p(np.abs(latents).sum(axis=-1)) * (order < count)  # (T, K)
    share = count / (tiles * size)
    return np.concatenate([[share, share**2, sqrt(share)], magnitude.mean(axis=0)]).astype(np.float32)


def question_features(question: str) -> FloatArray:
    """(64,) float32: hashed words of unit length together; zeros for no question."""
    counted = np.zeros(WORD_BUCKETS, np.float32)
    for word in re.findall(r"\w+", question.lower())[:_MAX_WORDS]:
        counted[zlib.crc32(word.encode()) % WORD_BUCKETS] += 1
    return np.asarray(counted / max(float(np.linalg.norm(counted)), 1.0), dtype=np.float32)
