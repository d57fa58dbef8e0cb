"""What it costs in answers that device and cloud compute slightly different tokens: whole, and through each codec.

::

    own tokens, device's tokens --as they are | codec's whole stream | its B99--> answers
    share of them that are the answers of the model's own tokens, uncompressed: own beside device
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.codec.base import Codec
from heliograph.errors import ShapeError
from heliograph.types import VisualTokens
from heliograph.vlm.contract import TorchModel

UNCOMPRESSED = "uncompressed"
KEPT = 0.99
"""Share of the answers kept by a whole stream of the model's own tokens that the rate called B99 keeps."""

_ANSWER_TOKENS = 16
_RATES = (32, 64, 128, 256, 512, 1024, 2048, 4096)

Asked = Sequence[Sequence[str]]


@dataclass(frozen=True)
class AnswerRow:
    """One way of sending, over all questions.

    Attributes:
        sent: ``uncompressed``, or the codec and its rate.
        payload_bytes: mean of the device's streams; None for uncompressed tokens.
        own: share of answers, from the model's own tokens sent so, that are those of its uncompressed tokens.
        device: the same from the device's tokens.
    """

    sent: str
    payload_bytes: float | None
    own: float
    device: float

    @property
    def text(self) -> str:
        """The comparison in one line."""
        size = "" if self.payload_bytes is None else f", {self.payload_bytes:.0f} bytes"
        return f"{self.sent}{size}: {self.own:.1%} of answers kept, by a device's tokens {self.device:.1%}"


def compare_answers(
    model: TorchModel,
    own: Sequence[VisualTokens],
    device: Sequence[VisualTokens],
    asked: Asked,
    codecs: Sequence[Codec],
) -> list[AnswerRow]:
    """Ask everything of both, sent in every way; a codec that does not take these tokens is left out.

    B99 is looked for among doubling rates on the very questions that are asked: with few of them it is coarse.

    Args:
        model: the frozen VLM.
        own, device: tokens of the same photos, by the model and by what a device runs.
        asked: questions about each photo; at least one in all.
        codecs: of the bundle.
    """
    wanted = _answers(model, own, asked)

    def kept(tokens: Sequence[VisualTokens]) -> float:
        return float(np.mean([a == w for a, w in zip(_answers(model, tokens, asked), wanted, strict=True)]))

    rows = [AnswerRow(UNCOMPRESSED, None, 1.0, kept(device))]
    for codec in codecs:
        try:
            whole, size = _sent(codec, device, None)
            restored = _sent(codec, own, None)[0]
        except ShapeError:
            continue  # learned for other grids
        most = kept(restored)
        rows.append(AnswerRow(f"{codec.kind}, whole stream", size, most, kept(whole)))
        for rate in _RATES:
            share = kept(_sent(codec, own, rate)[0])
            if share >= KEPT * most:
                tokens, size = _sent(codec, device, rate)
                rows.append(AnswerRow(f"{codec.kind}, B99", size, share, kept(tokens)))
                break
    return rows


def _sent(codec: Codec, tokens: Sequence[VisualTokens], most: int | None) -> tuple[list[VisualTokens], float]:
    """What a receiver restores of streams of at most so many bytes, and their mean payload."""
    streams = [codec.encode(one, max_bytes=most) for one in tokens]
    restored = [codec.decode(stream.header, stream.segments) for stream in streams]
    return restored, float(np.mean([stream.payload_bytes for stream in streams]))


def _answers(model: TorchModel, tokens: Sequence[VisualTokens], asked: Asked) -> list[str]:
    pairs = [(question, [one]) for one, questions in zip(tokens, asked, strict=True) for question in questions]
    return [answer.text for answer in model.answer_many(pairs, max_new_tokens=_ANSWER_TOKENS)]
