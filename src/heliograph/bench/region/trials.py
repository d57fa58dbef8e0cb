"""Every question asked once from the whole photo, and again with each kind of second look: what policies choose from.

::

    photo --first stage, cut at so many bytes--> tokens --> first answer, attention --> found box
    crop of the found box   --as pixels or tokens--> second answer from whole photo and crop
    crop of a random box    --the same way--------->  "
    true tokens in the box  --four or eight bits a value--> answer from the whole photo refined there
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from heliograph.bench.metrics import score
from heliograph.bench.runner import SHORT_ANSWER_TOKENS
from heliograph.bench.tasks import Item
from heliograph.bench.tools import Bench
from heliograph.boxes import PixelBox
from heliograph.codec.calibration import Signals
from heliograph.controllers.confidence import Draft, signals_of
from heliograph.controllers.region.find import Found, holds
from heliograph.controllers.region.policies import FirstLook
from heliograph.controllers.region.random_box import RandomBox
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Strategy, label, parse_setting
from heliograph.strategies.token_bytes import read_records, record_bytes, token_records
from heliograph.types import Answer, FloatArray, QuestionRecord, VisualTokens
from heliograph.vlm.attention import AttentionFinder

SMALL_PRINT = "small-print"
_EQUAL_BITS, _WHOLE_BITS = 4, 8


@dataclass(frozen=True)
class CropEncoding:
    """How a crop travels: a strategy and its setting as one word."""

    strategy: str
    setting: str

    def sent(self, bench: Bench, crop: Image.Image) -> tuple[VisualTokens, int]:
        """What the model sees of a crop, and payload bytes."""
        strategy: Strategy = STRATEGIES.load(self.strategy)()
        setting = parse_setting(self.setting, strategy.default_setting)
        stream = bench.device.encode(strategy, crop, setting).stream
        return bench.cloud.restore_tokens(stream), stream.payload_bytes


@dataclass(frozen=True)
class Second:
    """An answer with something more than the first stage.

    Attributes:
        answer: from both.
        payload_bytes: of what came in addition.
        right: 1 or 0.
    """

    answer: Answer
    payload_bytes: int
    right: float


@dataclass(frozen=True)
class Trial:
    """One question.

    Attributes:
        record: with the right answer and, for some tasks, the region that shows it.
        first: from the whole photo; ``right`` 1 or 0, ``first_bytes`` of the photo's first stage.
        signals: of the first answer.
        found: where attention points.
        looked, random: second answers with the crop of the found box and of a random one.
        refined_equal, refined_whole: answers from refined tokens, of about a crop's bytes and all inside the box.
        photo_questions: how many questions share the first stage.
    """

    record: QuestionRecord
    first: Second
    signals: Signals
    found: Found
    photo_size: tuple[int, int]
    looked: Second
    random: Second
    refined_equal: Second
    refined_whole: Second
    photo_questions: int

    @property
    def key(self) -> bytes:
        """What random policies draw from."""
        return f"{self.record.image_id} {self.record.question}".encode()

    @property
    def hit(self) -> bool | None:
        """Whether the found box holds the whole region; None where the question has none."""
        region = self.record.box
        return None if region is None else holds(self.found.box, region)


class Trials:
    """Runs them.

    Args:
        bench: both ends and the model.
        region_finder: with the setting that was chosen.
        encoding: how crops travel.
        strategy, first_bytes: the first stage.
    """

    def __init__(
        self, bench: Bench, region_finder: AttentionFinder, encoding: CropEncoding, strategy: str, first_bytes: int
    ) -> None:
        self._bench, self._region_finder, self._encoding = bench, region_finder, encoding
        self._first = CropEncoding(strategy, label({"max_bytes": first_bytes}))

    def of(self, item: Item) -> list[Trial]:
        """All questions about one photo."""
        bench, photo = self._bench, item.photo
        strategy: Strategy = STRATEGIES.load(self._first.strategy)()
        setting = parse_setting(self._first.setting, strategy.default_setting)
        stream = bench.device.encode(strategy, photo, setting).stream
        tokens, true_tokens = bench.cloud.restore_tokens(stream), bench.device.prepare(photo)
        asked = [record.question for record in item.records]
        firsts = self._answers([(question, [tokens]) for question in asked])
        found = [self._region_finder.find(question, tokens, photo.size) for question in asked]
        boxes = [self._random_box(item, *pair) for pair in zip(asked, found, strict=True)]
        crops = [self._crop(photo, one.box) for one in found]
        randoms = [self._crop(photo, box) for box in boxes]
        equal = [
            refined(tokens, true_tokens, one.box, photo.size, _EQUAL_BITS, sent)
            for one, (_, sent) in zip(found, crops, strict=True)
        ]
        whole = [refined(tokens, true_tokens, one.box, photo.size, _WHOLE_BITS) for one in found]
        shown: list[list[VisualTokens]] = [[tokens, crop] for crop, _ in (*crops, *randoms)]
        shown += [[one] for one, _ in (*equal, *whole)]
        answers = self._answers(list(zip(asked * 4, shown, strict=True)))
        sizes = [size for _, size in (*crops, *randoms, *equal, *whole)]
        rows = np.arange(4 * len(asked)).reshape(4, -1)
        made = []
        for place, record in enumerate(item.records):
            looked, random, refined_equal, refined_whole = (
                _second(record, answers[row], sizes[row]) for row in rows[:, place].tolist()
            )
            signals = signals_of(
                [Draft(firsts[place], stream.payload_bytes)],
                question=record.question,
                expectation=bench.cloud.expect(stream, record.question),
                retained_energy=bench.cloud.retained_energy(stream),
            )
            made.append(
                Trial(
                    record,
                    _second(record, firsts[place], stream.payload_bytes),
                    signals,
                    found[place],
                    photo.size,
                    looked,
                    random,
                    refined_equal,
                    refined_whole,
                    len(asked),
                )
            )
        return made

    def tokens_of(self, photo: Image.Image) -> VisualTokens:
        """What the first stage restores."""
        return self._first.sent(self._bench, photo)[0]

    def _crop(self, photo: Image.Image, box: PixelBox) -> tuple[VisualTokens, int]:
        return self._encoding.sent(self._bench, photo.crop(box))

    def _random_box(self, item: Item, question: str, found: Found) -> PixelBox:
        key = f"{item.image_id} {question}".encode()
        return RandomBox().box(FirstLook(0.0, None, found, item.photo.size, key))

    def _answers(self, asked: Sequence[tuple[str, Sequence[Any]]]) -> list[Answer]:
        return self._bench.model.answer_many(asked, max_new_tokens=SHORT_ANSWER_TOKENS)


def _second(record: QuestionRecord, answer: Answer, payload_bytes: int) -> Second:
    return Second(answer, payload_bytes, score(record, answer.text))


def refined(
    restored: VisualTokens,
    true_tokens: VisualTokens,
    box: PixelBox,
    photo_size: tuple[int, int],
    bits: int,
    max_bytes: int | None = None,
) -> tuple[VisualTokens, int]:
    """The restored tokens with the true ones inside a box, coded with so many bits a value; and bytes.

    ``meta`` and ``klt`` code all tokens of a photo in one embedded stream, so more segments refine every token; a
    region's alone are sent as records of their own. Where the box is is known to both ends.

    Args:
        restored, true_tokens: (N, D) in the cloud and on the device.
        box: of the photo.
        photo_size: width and height.
        bits: 4 or 8 a value.
        max_bytes: only so many tokens, at least one, nearest to the box's centre; None for all that it touches.
    """
    grid, values = restored.grid, restored.values.copy()
    places = touched_cells(box, photo_size, grid.rows, grid.columns)
    size = record_bytes(values.shape[1], bits)
    if max_bytes is not None:
        places = places[: max(1, max_bytes // size)]
    records = token_records(true_tokens.values[places], bits)
    rows: FloatArray = read_records(records, values.shape[1], len(places), bits)
    values[places] = rows
    return VisualTokens(values, grid), sum(map(len, records))


def touched_cells(box: PixelBox, photo_size: tuple[int, int], rows: int, columns: int) -> np.ndarray:
    """Row-major numbers of the cells that a box touches, those nearest to its centre first."""
    width, height = photo_size[0] / columns, photo_size[1] / rows
    across = range(int(box[0] // width), min(int(np.ceil(box[2] / width)), columns))
    down = range(int(box[1] // height), min(int(np.ceil(box[3] / height)), rows))
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    cells = [(row, column) for row in down for column in across]
    cells.sort(key=lambda c: np.hypot((c[1] + 0.5) * width - centre[0], (c[0] + 0.5) * height - centre[1]))
    return np.array([row * columns + column for row, column in cells], dtype=np.int64)


@dataclass(frozen=True)
class CropTrial:
    """One encoding tried on crops of true regions: mean payload, share of right answers."""

    encoding: CropEncoding
    payload_bytes: float
    accuracy: float
    plates: int


def try_encodings(
    trials: Trials,
    bench: Bench,
    encodings: Iterable[CropEncoding],
    plates: Sequence[tuple[Image.Image, QuestionRecord, PixelBox]],
) -> list[CropTrial]:
    """Try each encoding on the same crops.

    Args:
        trials: for the first stage.
        bench: both ends.
        encodings: to compare.
        plates: photo, question and the box to crop.
    """
    first = [trials.tokens_of(photo) for photo, _, _ in plates]
    found = []
    for encoding in encodings:
        sent = [encoding.sent(bench, photo.crop(box)) for photo, _, box in plates]
        asked = [
            (record.question, [tokens, crop])
            for (_, record, _), tokens, (crop, _) in zip(plates, first, sent, strict=True)
        ]
        answers = bench.model.answer_many(asked, max_new_tokens=SHORT_ANSWER_TOKENS)
        right = [score(record, answer.text) for (_, record, _), answer in zip(plates, answers, strict=True)]
        mean_bytes = float(np.mean([size for _, size in sent]))
        found.append(CropTrial(encoding, mean_bytes, float(np.mean(right)), len(plates)))
    return found


def cheapest_good(tried: Sequence[CropTrial], slack: float) -> CropTrial:
    """The encoding of fewest bytes whose accuracy is within ``slack`` of the best."""
    best = max(one.accuracy for one in tried)
    return min((one for one in tried if one.accuracy >= best - slack), key=lambda one: one.payload_bytes)
