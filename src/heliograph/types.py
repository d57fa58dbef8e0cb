"""Words every room shares. Standard library and numpy only.

One drawing of who makes what::

    photo --edge.preprocess--> pixels (1, 3, S, S) f32 --edge.encoder--> VisualTokens (N, D) f32
          --codec.encode--> EncodedImage(header, segments) == protocol ==> prefix --codec.decode--> VisualTokens
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from heliograph.boxes import PixelBox

FloatArray = npt.NDArray[np.float32]

Reporter = Callable[[str], None]
"""Receives a line of text at each stage of a long run."""

LARGEST_TOKEN = 2.0**30
"""Bound of a visual token's values, which are tens or hundreds in working models.

The next thing that happens to a token is a norm, which squares it and sums over D <= 2**16 channels: at most 2**76,
where float32 ends at 2**128. A larger value would overflow there and wipe out the photo without a trace.
"""

LARGEST_WEIGHT = 2.0**20
"""Bound of a table's or a network's weights, which are tens or hundreds in working models.

Between two norms a number meets three weights at most (gate, up and down projection). One of 2**20, the factors beside
it below 2**12 each, makes 2**56, whose square, summed over 2**16 channels, float32 still holds.
"""

MAX_EMPTY_CONFIDENCE = 0.01
"""The confidence that an empty answer has at most."""

LARGEST_LOGIT = 2.0**16
"""Bound of logits, which are tens in working models.

Beyond it neighbours in float32 are over a hundredth of a nat apart: a probability is not known to one in a hundred, and
the largest logit would make the model certain of whatever it names.
"""


@dataclass(frozen=True)
class Grid:
    """How visual tokens lie over the photo: ``tiles`` grids of ``rows`` x ``columns`` tokens, row-major.

    ``photo_width`` and ``photo_height`` are the photo's size in pixels (0 where the VLM does not need it).
    """

    rows: int
    columns: int
    tiles: int = 1
    photo_width: int = 0
    photo_height: int = 0

    @property
    def tokens(self) -> int:
        """N, the number of visual tokens."""
        return self.rows * self.columns * self.tiles

    def __str__(self) -> str:
        """``a grid of 8x8 tokens``, for people."""
        sides = f"{self.rows}x{self.columns} tokens"
        tiles = "" if self.tiles == 1 else f"{self.tiles} tiles of "
        photo = f" of a photo of {self.photo_width}x{self.photo_height} pixels" if self.photo_width else ""
        return f"a grid of {tiles}{sides}{photo}"


@dataclass(frozen=True)
class VisualTokens:
    """The VLM's image features after its projector.

    Attributes:
        values: (N, D) float32, exactly what the language model consumes.
        grid: where the N tokens lie; ``grid.tokens == N``.
    """

    values: FloatArray
    grid: Grid


@dataclass(frozen=True)
class Words:
    """What a device found in a photo, in words, where nothing of its pixels travels.

    Attributes:
        text: one or more lines.
    """

    text: str


def tokens_make_sense(values: FloatArray) -> bool:
    """Whether all values of tokens, of any shape, are numbers below :data:`LARGEST_TOKEN` in size."""
    return bool(np.all(np.abs(values) < LARGEST_TOKEN))  # NaN compares false


@dataclass(frozen=True)
class EncodedImage:
    """One photo as a stream: a header and ordered segments. The first k segments are a prefix.

    Attributes:
        strategy: registry name of the strategy that made it (``klt``, ``jpeg`` ...).
        header: at most 16 bytes, what a receiver needs before the first segment.
        segments: refinement steps in order; joined they are the payload.
        predicted_quality: per prefix (length ``len(segments)``), the share of token energy that the prefix
            retains, 0 to 1, as known on the device in closed form; empty where the strategy has none.
        predicted_agreement: per prefix likewise, the share of answers, 0 to 1, that are expected to be those from
            uncompressed tokens, by its level; empty where nobody has measured that.
        bundle_hash: first 8 bytes of the bundle's SHA-256, empty for strategies that need no bundle.
    """

    strategy: str
    header: bytes
    segments: tuple[bytes, ...]
    predicted_quality: tuple[float, ...] = ()
    bundle_hash: bytes = b""
    predicted_agreement: tuple[float, ...] = ()

    @property
    def payload_bytes(self) -> int:
        """Codec output in bytes: header and segments, without frames or handshake."""
        return len(self.header) + sum(len(s) for s in self.segments)

    def prefix(self, segments: int) -> EncodedImage:
        """The stream cut after the first ``segments`` segments."""
        return replace(
            self,
            segments=self.segments[:segments],
            predicted_quality=self.predicted_quality[:segments],
            predicted_agreement=self.predicted_agreement[:segments],
        )


@dataclass(frozen=True)
class Answer:
    """An answer with how sure the model was.

    Attributes:
        text: decoded answer.
        confidence: 0 to 1, see :func:`confidence_of`.
        min_entropy_bits: mean over output tokens of -log2 max p(y_t) (arXiv 2512.16349); of p(y_t) itself where the
            checkpoint's generation config had another token than the most likely one generated.
        token_ids: generated ids, for draft verification.
        entropy_bits: mean over output tokens of the Shannon entropy of all tokens' probabilities; NaN where unknown.
        margin: mean over output tokens of the largest probability less the second largest; NaN where unknown.
        token_bits: -log2 max p(y_t) of each output token, in order; empty where unknown.
    """

    text: str
    confidence: float
    min_entropy_bits: float
    token_ids: tuple[int, ...] = ()
    entropy_bits: float = math.nan
    margin: float = math.nan
    token_bits: tuple[float, ...] = ()


def confidence_of(text: str, min_entropy_bits: float) -> float:
    """How sure an answer is: 2 ** -``min_entropy_bits``, the geometric mean of max p(y_t) (arXiv 2512.16349).

    An answer that says nothing (no tokens, or none but control tokens and white space) is never sure, however sure the
    model was of its end: at most one in a hundred.
    """
    confidence: float = 2.0**-min_entropy_bits
    return min(confidence, MAX_EMPTY_CONFIDENCE) if says_nothing(text) else confidence


def says_nothing(text: str) -> bool:
    """Whether nobody could see anything of an answer: no characters, or none but spaces, controls and blanks.

    >>> says_nothing(" \u200b\u2060"), says_nothing("\u3164"), says_nothing("0")
    (True, True, False)
    """
    return all(unicodedata.category(one)[0] in "ZC" or one in _BLANKS for one in text)


_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffd")
"""Letters and symbols without ink, and the sign for what could not be decoded."""


@dataclass(frozen=True)
class QuestionRecord:
    """One benchmark question about one image, the same for every task source.

    Attributes:
        image_id: unique within the suite, e.g. ``scene-8100003``.
        task: ``existence``, ``colour``, ``shape``, ``count``, ``position``, ``relation``, ``large-print``,
            ``small-print``, ``description`` or an external task's name.
        question: text as asked.
        answer: the exact expected answer.
        box: what the question needs to see; None if everything.
        accepted: further answers that count as right.
    """

    image_id: str
    task: str
    question: str
    answer: str
    box: PixelBox | None = None
    accepted: tuple[str, ...] = field(default=())
