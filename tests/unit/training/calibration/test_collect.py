"""What is collected at prefixes is what the model said there, and comes back from disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.codec.expectation import Expectation
from heliograph.codec.levels import LevelCurve
from heliograph.errors import CodecNotFittedError, FileUnreadableError
from heliograph.training.calibration.collect import (
    Judge,
    PrefixAnswers,
    collect,
    cut_places,
    kept_or_collected,
)
from heliograph.types import Answer, EncodedImage, Grid, QuestionRecord, VisualTokens

GRID = Grid(1, 1)
JUDGE = Judge(lambda record, text: float(record.answer == text), lambda one, other: float(one == other))


@dataclass(frozen=True)
class Item:
    photo: Image.Image
    records: tuple[QuestionRecord, ...]


class Model:
    """Says how many bytes it has seen, to the ten; a photo's brightness is its number of segments."""

    def encode_images(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        return [VisualTokens(np.full((1, 1), photo.getpixel((0, 0))[0], np.float32), GRID) for photo in photos]

    def answer_many(
        self, asked: Sequence[tuple[str, Sequence[VisualTokens]]], *, max_new_tokens: int = 64
    ) -> list[Answer]:
        found = []
        for question, (tokens,) in asked:
            seen = int(tokens.values[0, 0]) // 2
            found.append(Answer(f"{question}{seen}", 0.5, 1.0, (len(question), seen), 2.0, 0.25, (0.5, 1.5)))
        return found


class CountingCodec:
    """A byte a segment; restores how many there are, which is the level."""

    levels: LevelCurve | None = None

    def encode(self, tokens: VisualTokens) -> EncodedImage:
        return EncodedImage("count", b"h", (b"x",) * int(tokens.values[0, 0]))

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        return VisualTokens(np.full((1, 1), len(segments), np.float32), GRID)

    def retained_energy(self, header: bytes, segments: Sequence[bytes]) -> float:
        return len(segments) / 10

    def level(self, header: bytes, segments: Sequence[bytes]) -> int:
        return len(segments)

    def expect(self, header: bytes, segments: Sequence[bytes], question: str = "") -> Expectation | None:
        return Expectation(len(question), 1 / (1 + len(segments)))


def item(segments: int, *questions: str) -> Item:
    records = tuple(QuestionRecord("x", f"task-{question}", question, f"{question}1") for question in questions)
    return Item(Image.new("RGB", (4, 4), (segments, 0, 0)), records)


def test_answers_signals_and_truth_of_every_prefix() -> None:
    found = collect(Model(), CountingCodec(), [item(4, "a", "bb"), item(0), item(2, "a")], JUDGE)
    assert (found.photo.tolist(), found.task.tolist()) == ([0, 0, 2], ["task-a", "task-bb", "task-a"])
    assert found.payload_bytes.tolist() == [[2, 3, 4, 5], [2, 3, 4, 5], [2, 3, 3, 3]]
    assert found.answer.tolist() == [[1, 2, 2, 0], [1, 2, 2, 0], [1, 0, 0, 0]]
    assert found.agrees[2].tolist() == [0, 1, 1, 1]
    assert found.right[0].tolist() == [0, 1, 1, 0]
    assert found.whole_right.tolist() == [0, 0, 1]
    assert found.token_error[1].tolist() == [2, 2, 2, 2]
    assert found.retained_energy[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert (found.first_bits[0, 0], found.margin[0, 0], found.answer_tokens[0, 0]) == (0.5, 0.25, 2)


def test_the_agreement_of_a_prefixs_level_is_what_the_bundle_expects() -> None:
    class Measured(CountingCodec):
        levels = LevelCurve((0, 2, 4), (0.25, 0.5, 1.0), 2, 9)

    found = collect(Model(), Measured(), [item(4, "a"), item(2, "a")], JUDGE)
    assert found.level_agreement.tolist() == [[0.375, 0.5, 0.75, 1.0], [0.375, 0.5, 0.5, 0.5]]
    assert np.isnan(collect(Model(), CountingCodec(), [item(2, "a")], JUDGE).level_agreement).all()


def test_signals_know_the_drafts_that_were_made() -> None:
    found = collect(Model(), CountingCodec(), [item(6, "a")], JUDGE)
    every = found.signals(0, range(6))
    assert [one.stable_drafts for one in every] == [1, 1, 2, 1, 2, 1]
    assert [one.stable_bytes for one in every] == [0, 0, 1, 0, 1, 0]
    assert [one.stable_drafts for one in found.signals(0, (1, 2, 5))] == [1, 2, 1]
    assert (every[2].received_bytes, every[2].question) == (4, "a")


def test_a_codec_that_predicts_nothing_leaves_its_signals_unknown() -> None:
    class Silent(CountingCodec):
        def expect(self, header: bytes, segments: Sequence[bytes], question: str = "") -> Expectation | None:
            return None

    (first, *_) = collect(Model(), Silent(), [item(3, "a")], JUDGE).signals(0, range(3))
    assert (first.token_error, first.answer_differs) == (None, None)


def test_no_question_is_refused() -> None:
    for items in ([], [item(3)]):
        with pytest.raises(CodecNotFittedError):
            collect(Model(), CountingCodec(), items, JUDGE)


@pytest.mark.parametrize(("segments", "prefixes"), [(1, 4), (5, 5), (24, 24), (25, 24), (300, 12), (5000, 3)])
def test_cuts_rise_to_the_whole(segments: int, prefixes: int) -> None:
    found = cut_places(segments, prefixes)
    assert found[0] == 1
    assert found[-1] == segments
    assert len(found) == min(segments, prefixes)
    assert found == sorted(set(found))
    assert cut_places(0, prefixes) == [0]


def test_what_was_collected_is_kept_and_not_collected_again(answers: PrefixAnswers, tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> PrefixAnswers:
        made.append(1)
        return answers

    for key, times in (({"a": 1}, 1), ({"a": 1}, 1), ({"a": 2}, 2)):
        found = kept_or_collected(tmp_path, key, make, lambda line: None)
        assert len(made) == times
        for one in fields(found):
            assert np.array_equal(getattr(found, one.name), getattr(answers, one.name))
    (tmp_path / "answers.npz").write_bytes(b"broken")
    kept_or_collected(tmp_path, {"a": 2}, make, lambda line: None)
    assert len(made) == 3


def test_other_files_are_refused(answers: PrefixAnswers, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, photo=np.zeros(3))
    with pytest.raises(FileUnreadableError):
        PrefixAnswers.load(path)
    replace(answers, right=answers.right[:, :2]).save(path)
    with pytest.raises(FileUnreadableError):
        PrefixAnswers.load(path)
