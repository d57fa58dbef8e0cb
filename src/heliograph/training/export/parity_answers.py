"""What it costs in answers that device and cloud compute slightly different tokens: whole, and through each codec.

::

    own tokens, device's tokens --as they are | codec's whole stream | its B99--> answers
    share of them that are the answers of the model's own tokens, uncompressed: own beside device
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch

from heliograph.codec.base import Codec
from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.training.progress import stage
from heliograph.types import Answer, EncodedImage, Reporter, VisualTokens
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.generation_rules import GenerationRules

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
    progress: Reporter = lambda line: None,
) -> list[AnswerRow]:
    """Ask everything of both, sent in every way; a codec that does not take these tokens is left out.

    B99 is looked for among doubling rates on the very questions that are asked: with few of them it is coarse.

    Args:
        model: the frozen VLM.
        own, device: tokens of the same photos, by the model and by what a device runs.
        asked: questions about each photo; at least one in all.
        codecs: of the bundle.
        progress: counts the ways of sending, of which there may be fewer than were reckoned with.
    """
    places = [place for place, about in enumerate(asked) if about]
    own = [own[place] for place in places]
    keeper = _Keeper(model, own, [asked[place] for place in places])
    advance = stage(progress, 1 + len(codecs) * (2 + len(_RATES)), "comparing answers")
    rows = [AnswerRow(UNCOMPRESSED, None, 1.0, keeper.share([device[place] for place in places]))]
    advance(1)
    for codec in codecs:
        try:
            whole, restored = _sent(codec, device, places), _sent(codec, own, range(len(own)))
        except ShapeError:
            continue  # learned for other grids
        most = keeper.share(restored.tokens)
        advance(1)
        rows.append(AnswerRow(f"{codec.kind}, whole stream", whole.mean_bytes, most, keeper.share(whole.tokens)))
        advance(1)
        for rate in _RATES:
            advance(1)
            share = keeper.share(_cut(codec, own, restored, rate).tokens)
            if share >= KEPT * most:
                sent = _cut(codec, device, whole, rate)
                rows.append(AnswerRow(f"{codec.kind}, B99", sent.mean_bytes, share, keeper.share(sent.tokens)))
                break
    return rows


@dataclass(frozen=True)
class _Sent:
    """Streams of photos, and what a receiver restores of those that are asked about.

    Attributes:
        streams: of every photo.
        places: of the photos that are asked about.
        tokens: of these.
    """

    streams: list[EncodedImage]
    places: Sequence[int]
    tokens: list[VisualTokens]

    @property
    def mean_bytes(self) -> float:
        return float(np.mean([stream.payload_bytes for stream in self.streams]))


def _sent(codec: Codec, tokens: Sequence[VisualTokens], places: Sequence[int]) -> _Sent:
    streams = [codec.encode(one) for one in tokens]
    return _Sent(streams, places, [_decoded(codec, streams[place]) for place in places])


def _cut(codec: Codec, tokens: Sequence[VisualTokens], whole: _Sent, most: int) -> _Sent:
    """Streams of at most so many bytes; those that have no more are whole."""
    streams = [
        codec.encode(one, max_bytes=most) if stream.payload_bytes > most else stream
        for one, stream in zip(tokens, whole.streams, strict=True)
    ]
    restored = [
        known if streams[place] is whole.streams[place] else _decoded(codec, streams[place])
        for place, known in zip(whole.places, whole.tokens, strict=True)
    ]
    return _Sent(streams, whole.places, restored)


def _decoded(codec: Codec, stream: EncodedImage) -> VisualTokens:
    return codec.decode(stream.header, stream.segments)


class _Keeper:
    """Counts the answers that stay what they are with the model's own tokens, uncompressed.

    A model that asks one question after the other is not made to say all of an answer to find out that it is another
    one: a pass over the answer that is wanted shows where the model would have left it (as a draft is verified).

    Args:
        model: the frozen VLM.
        own: its tokens of every photo that is asked about.
        asked: questions about each.
    """

    def __init__(self, model: TorchModel, own: Sequence[VisualTokens], asked: Asked) -> None:
        self._model, self._asked = model, asked
        self._wanted = self._answers(own)
        self._by_pass = not model.batches and _says_likeliest(model)
        self._known: dict[bytes, bool] = {}

    def share(self, tokens: Sequence[VisualTokens]) -> float:
        """Share of the answers that these tokens of the same photos leave as they were."""
        if not self._by_pass:
            pairs = zip(self._answers(tokens), self._wanted, strict=True)
            return float(np.mean([answer.text == wanted.text for answer, wanted in pairs]))
        return float(np.mean([self._is_kept(*one) for one in zip(self._pairs(tokens), self._wanted, strict=True)]))

    def _pairs(self, tokens: Sequence[VisualTokens]) -> list[tuple[str, VisualTokens]]:
        return [(question, one) for one, about in zip(tokens, self._asked, strict=True) for question in about]

    def _answers(self, tokens: Sequence[VisualTokens]) -> list[Answer]:
        asked = [(question, [one]) for question, one in self._pairs(tokens)]
        return self._model.answer_many(asked, max_new_tokens=_ANSWER_TOKENS)

    def _is_kept(self, pair: tuple[str, VisualTokens], wanted: Answer) -> bool:
        question, tokens = pair
        key = hashlib.sha256(
            repr((question, tokens.grid, wanted.token_ids)).encode() + tokens.values.tobytes()
        ).digest()
        if key not in self._known:
            self._known[key] = self._would_say(question, tokens, wanted)
        return self._known[key]

    def _would_say(self, question: str, tokens: VisualTokens, wanted: Answer) -> bool:
        ends = [] if len(wanted.token_ids) == _ANSWER_TOKENS else [min(self._model.end_ids)]
        ids = [*wanted.token_ids, *ends]
        values = torch.from_numpy(tokens.values).to(self._model.torch_model.device)
        with torch.inference_mode():
            best = self._model.answer_logits(question, values, tokens.grid, ids).argmax(dim=-1).tolist()
        same = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(best, wanted.token_ids, strict=False)))
        if same == len(wanted.token_ids) and (not ends or best[same] in self._model.end_ids):
            return True
        begun = self._text([*wanted.token_ids[:same], best[same]])
        if best[same] in self._model.end_ids:
            return begun == wanted.text
        if not wanted.text.startswith(begun):
            return False
        answer = self._model.answer(question, [tokens], max_new_tokens=_ANSWER_TOKENS)  # the same words by other tokens
        return answer.text == wanted.text

    def _text(self, ids: Sequence[int]) -> str:
        """What an answer that begins so begins with; a character that may not be whole is left out."""
        content = [one for one in ids if one not in self._model.end_ids]
        text = self._model.processor.tokenizer.decode(
            content, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text).strip().rstrip("\ufffd")


def _says_likeliest(model: TorchModel) -> bool:
    """Whether the model says the most likely token, whatever it has said before."""
    try:
        return GenerationRules(model.torch_model).plain
    except ModelUnsupportedError:
        return False
