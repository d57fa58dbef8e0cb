"""Answers from many prefixes of each photo's stream, with all that is known of them: what calibration is fitted on.

::

    photo --vision tower--> tokens --Codec.encode--> stream, cut at every (or every so many) segments
    each prefix --Codec.decode, answer_many--> answers --judge--> right?, the uncompressed answer? + signals

Collecting is what takes time; it is kept in one file, so that fits and simulated stop policies can be repeated.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.codec.base import Codec
from heliograph.codec.calibration import Signals
from heliograph.codec.expectation import Expectation
from heliograph.codec.levels import expected_agreement
from heliograph.controllers.confidence import MAX_CALIBRATED_TOKENS
from heliograph.errors import CodecNotFittedError, FileUnreadableError
from heliograph.reasons import FileFault
from heliograph.types import Answer, EncodedImage, QuestionRecord, Reporter, VisualTokens

PREFIXES = 24
"""Prefixes of a stream, at most; a stream of fewer segments is cut at every one."""

_PHOTOS_AT_ONCE = 8
_ANSWER_TOKENS = MAX_CALIBRATED_TOKENS
_UNCOMPRESSED = 0  # this answer's number among a question's answers

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int32]
Words = npt.NDArray[np.str_]


class AskedPhoto(Protocol):
    """A photo and the questions about it."""

    @property
    def photo(self) -> Image.Image:
        """RGB."""

    @property
    def records(self) -> Sequence[QuestionRecord]:
        """Questions with what is known of their answers."""


class AskedModel(Protocol):
    """The frozen model, as far as prefixes need it."""

    def encode_images(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        """Uncompressed tokens of each photo."""

    def answer_many(self, asked: Sequence[tuple[str, Sequence[VisualTokens]]], *, max_new_tokens: int) -> list[Answer]:
        """The greedy answer to each question about its photo."""


@dataclass(frozen=True)
class Judge:
    """What counts as right, 0 to 1, of a record and an answer; and whether two answers are the same."""

    right: Callable[[QuestionRecord, str], float]
    same: Callable[[str, str], float]


@dataclass(frozen=True)
class PrefixAnswers:
    """Q questions at P prefixes, shortest first. A stream with fewer segments repeats its whole in the last columns.

    Attributes:
        photo: (Q,) which photo a question is about.
        task, question: (Q,) names and texts.
        whole_right: (Q,) whether the answer from uncompressed tokens is right, 0 to 1.
        payload_bytes: (Q, P) of the prefix.
        answer: (Q, P) number of the answer among the question's answers; 0 is the uncompressed one.
        agrees, right: (Q, P) whether it is the uncompressed answer, and how right it is.
        min_entropy_bits, first_bits, entropy_bits, margin, answer_tokens: (Q, P) as in ``Signals``.
        token_error, answer_differs, retained_energy: (Q, P) likewise; NaN where the codec does not know.
        level_agreement: (Q, P) share of answers expected at the prefix's level; NaN where nobody has measured it.
    """

    photo: Int
    task: Words
    question: Words
    whole_right: Float
    payload_bytes: Int
    answer: Int
    agrees: Float
    right: Float
    min_entropy_bits: Float
    first_bits: Float
    entropy_bits: Float
    margin: Float
    answer_tokens: Int
    token_error: Float
    answer_differs: Float
    retained_energy: Float
    level_agreement: Float

    def __len__(self) -> int:
        return len(self.photo)

    @property
    def prefixes(self) -> int:
        """P."""
        return int(self.payload_bytes.shape[1])

    def where(self, chosen: npt.NDArray[Any]) -> PrefixAnswers:
        """A selection of the questions, by index or mask."""
        return PrefixAnswers(*(getattr(self, one.name)[chosen] for one in fields(self)))

    def signals(self, question: int, drafted: Sequence[int]) -> list[Signals]:
        """Signals of each draft of one question where drafts were made at these prefixes, in order."""
        found: list[Signals] = []
        first = 0  # of the drafts in a row that say the same
        for place, prefix in enumerate(drafted):
            if self.answer[question, prefix] != self.answer[question, drafted[first]]:
                first = place
            received = int(self.payload_bytes[question, prefix])
            found.append(
                Signals(
                    min_entropy_bits=float(self.min_entropy_bits[question, prefix]),
                    first_bits=float(self.first_bits[question, prefix]),
                    entropy_bits=float(self.entropy_bits[question, prefix]),
                    margin=float(self.margin[question, prefix]),
                    answer_tokens=int(self.answer_tokens[question, prefix]),
                    stable_drafts=place - first + 1,
                    token_error=_known(self.token_error[question, prefix]),
                    answer_differs=_known(self.answer_differs[question, prefix]),
                    retained_energy=_known(self.retained_energy[question, prefix]),
                    received_bytes=received,
                    stable_bytes=received - int(self.payload_bytes[question, drafted[first]]),
                    question=str(self.question[question]),
                )
            )
        return found

    def save(self, path: Path) -> None:
        """Write one ``.npz`` file."""
        np.savez_compressed(path, **{one.name: getattr(self, one.name) for one in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """What ``save`` wrote.

        Raises:
            FileUnreadableError: it is something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                found = cls(**{one.name: file[one.name] for one in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}.") from error
        shape = found.payload_bytes.shape
        if len(shape) != 2 or any(getattr(found, one.name).shape not in (shape, shape[:1]) for one in fields(cls)):
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}.")
        return found


def collect(
    model: AskedModel, codec: Codec, items: Iterable[AskedPhoto], judge: Judge, prefixes: int = PREFIXES
) -> PrefixAnswers:
    """Answers of every photo's questions from every prefix.

    Args:
        model: the frozen model.
        codec: whose streams are cut; without an error head, its signals stay unknown.
        items: photos with questions; taken one after another.
        judge: says what is right.
        prefixes: of each stream at most.

    Raises:
        CodecNotFittedError: there is no photo with a question.
    """
    rows: list[dict[str, Any]] = []
    waiting: list[AskedPhoto] = []
    photos = 0
    for item in items:
        waiting.append(item)
        if len(waiting) == _PHOTOS_AT_ONCE:
            rows += _collected(model, codec, waiting, photos, judge, prefixes)
            photos, waiting = photos + len(waiting), []
    if waiting:
        rows += _collected(model, codec, waiting, photos, judge, prefixes)
    if not rows:
        raise CodecNotFittedError().noted("No question of these photos could be judged.")
    return _stacked(rows)


def kept_or_collected(
    folder: Path, key: Mapping[str, Any], make: Callable[[], PrefixAnswers], note: Reporter
) -> PrefixAnswers:
    """What ``make`` gives, kept in a folder; read from there where the same was collected before.

    Args:
        folder: for ``answers.npz`` and ``answers.json``.
        key: JSON values that say what is collected.
        make: collects.
        note: called where answers are read.
    """
    stored, label = folder / "answers.npz", folder / "answers.json"
    with contextlib.suppress(OSError, ValueError, FileUnreadableError):  # what cannot be read is collected anew
        if json.loads(label.read_text(encoding="utf-8")) == key:
            kept = PrefixAnswers.load(stored)
            note(f"answers collected before: {stored}")
            return kept
    found = make()
    found.save(stored)
    label.write_text(json.dumps(key) + "\n", encoding="utf-8")
    return found


def _collected(
    model: AskedModel, codec: Codec, items: list[AskedPhoto], first: int, judge: Judge, prefixes: int
) -> list[dict[str, Any]]:
    """One row per question of some photos; ``first`` is the first photo's number."""
    tokens = model.encode_images([item.photo for item in items])
    streams = [codec.encode(one) for one in tokens]
    cuts = [cut_places(len(stream.segments), prefixes) for stream in streams]
    restored = [
        [codec.decode(stream.header, stream.segments[:count]) for count in counts]
        for stream, counts in zip(streams, cuts, strict=True)
    ]
    asked = [
        (record.question, [one])
        for item, whole, parts in zip(items, tokens, restored, strict=True)
        for one in (whole, *parts)
        for record in item.records
    ]
    answers = iter(model.answer_many(asked, max_new_tokens=_ANSWER_TOKENS))
    rows = []
    for place, (item, stream, counts) in enumerate(zip(items, streams, cuts, strict=True)):
        made = [[next(answers) for _ in item.records] for _ in range(1 + len(counts))]
        parts = [_Part.of(codec, stream, count) for count in counts]
        for number, record in enumerate(item.records):
            collected = [one[number] for one in made]
            rows.append({"photo": first + place, **_row(codec, record, collected[0], collected[1:], parts, judge)})
    return rows


@dataclass(frozen=True)
class _Part:
    """A prefix of a stream."""

    stream: EncodedImage
    payload_bytes: int
    energy: float
    level_agreement: float

    @classmethod
    def of(cls, codec: Codec, stream: EncodedImage, count: int) -> _Part:
        part = stream.prefix(count)
        agreement = expected_agreement(codec, part.header, part.segments)
        energy = codec.retained_energy(part.header, part.segments)
        return cls(part, part.payload_bytes, energy, np.nan if agreement is None else agreement)

    def expect(self, codec: Codec, question: str) -> Expectation:
        found = codec.expect(self.stream.header, self.stream.segments, question)
        return Expectation(np.nan, np.nan) if found is None else found


def _row(
    codec: Codec, record: QuestionRecord, whole: Answer, answers: list[Answer], parts: list[_Part], judge: Judge
) -> dict[str, Any]:
    """What one question gave."""
    known = {whole.token_ids: _UNCOMPRESSED}
    expected = [part.expect(codec, record.question) for part in parts]
    return {
        "task": record.task,
        "question": record.question,
        "whole_right": judge.right(record, whole.text),
        "payload_bytes": [part.payload_bytes for part in parts],
        "answer": [known.setdefault(one.token_ids, len(known)) for one in answers],
        "agrees": [judge.same(one.text, whole.text) for one in answers],
        "right": [judge.right(record, one.text) for one in answers],
        "min_entropy_bits": [one.min_entropy_bits for one in answers],
        "first_bits": [one.token_bits[0] if one.token_bits else one.min_entropy_bits for one in answers],
        "entropy_bits": [one.entropy_bits for one in answers],
        "margin": [one.margin for one in answers],
        "answer_tokens": [len(one.token_ids) if one.text.strip() else 0 for one in answers],
        "token_error": [one.token_error for one in expected],
        "answer_differs": [one.answer_differs for one in expected],
        "retained_energy": [part.energy for part in parts],
        "level_agreement": [part.level_agreement for part in parts],
    }


def cut_places(segments: int, prefixes: int) -> list[int]:
    """Counts of segments, from one to all, ``prefixes`` at most: every one, or growing by equal factors."""
    if segments <= prefixes:
        return list(range(1, segments + 1)) or [0]
    factor = segments ** (1 / (prefixes - 1))
    counts = accumulate(range(1, prefixes), lambda last, step: max(last + 1, round(factor**step)), initial=1)
    return [min(count, segments) for count in counts]


def _stacked(rows: list[dict[str, Any]]) -> PrefixAnswers:
    """Rows of different lengths as rectangles: the last prefix, which is the whole stream, is repeated."""
    longest = max(len(row["payload_bytes"]) for row in rows)

    def column(name: str) -> npt.NDArray[Any]:
        values = [row[name] for row in rows]
        if isinstance(values[0], list):
            values = [one + one[-1:] * (longest - len(one)) for one in values]
        found = np.asarray(values)
        return found.astype({"f": np.float32, "i": np.int32}.get(found.dtype.kind, found.dtype))

    return PrefixAnswers(**{one.name: column(one.name) for one in fields(PrefixAnswers)})


def _known(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
