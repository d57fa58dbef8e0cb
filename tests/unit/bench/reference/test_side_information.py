"""The question's share in ``side-info``: which streams and questions each way is given, and what the table says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.reference import side_information
from heliograph.bench.reference.side_information import WAYS, Comparison, in_the_mean, table
from heliograph.bench.tasks import Item, scene_items
from heliograph.codec.question_words import question_words
from heliograph.errors import UsageError
from heliograph.training.progress import Progress
from heliograph.types import Answer, EncodedImage, QuestionRecord

TASKS = ("colour", "shape")


def items(count: int) -> list[Item]:
    """Scenes of two questions, whose answer is the question itself."""
    made = []
    for scene in range(count):
        name = f"scene-{scene}"
        asked = [f"{task} of {scene}?" for task in TASKS]
        records = tuple(QuestionRecord(name, task, one, one, None) for task, one in zip(TASKS, asked, strict=True))
        made.append(Item(name, Image.new("RGB", (4, 4), (scene, 0, 0)), records))
    return made


class Ends:
    """A device that sends the photo's number, a cloud whose tokens are what it was given, and a model that answers from
    plain tokens rightly for even scenes alone, and from others when they were restored for its question or none."""

    def __init__(self) -> None:
        self.device = self.cloud = self.model = self
        self.asked: list[tuple[str, str]] = []

    def encode_images(self, photos: Sequence[Image.Image]) -> list[Any]:
        return [("whole", "")] * len(photos)

    def encode(self, strategy: Any, photo: Image.Image, setting: Any) -> Any:
        number = photo.getpixel((0, 0))[0]  # type: ignore[index]
        payload = b"x" * setting["latents"]
        return SimpleNamespace(stream=EncodedImage(strategy.name, bytes([number]), (payload,)))

    def seen(self, stream: EncodedImage, question: str) -> Any:
        self.asked.append((stream.strategy, question))
        right = stream.header[0] % 2 == 0 if stream.strategy == "meta" else None
        return SimpleNamespace(tokens=(right, question))

    def answer_many(self, asked: Sequence[Any], *, max_new_tokens: int) -> list[Answer]:
        return [self._answer(question, *tokens[0]) for question, tokens in asked]

    def _answer(self, question: str, right: Any, told: str) -> Answer:
        knows = bool(right) if right is not None else told in (question, "?")
        return Answer(question if knows else "no", 1.0, 0.0, margin=1.0)


def measured(ends: Ends, scenes: int = 4, latents: Sequence[int] = (10, 28)) -> list[side_information.Rate]:
    with Progress(quiet=True) as progress:
        return Comparison(ends, items(scenes)).rates(latents, progress)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def learned(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {3: "klt"}  # the fourth scene was left
    monkeypatch.setattr(side_information, "written_by", lambda stream: (kinds.get(stream.header[0], "meta"), b""))


def test_every_way_gets_the_same_stream_and_its_own_question() -> None:
    ends = Ends()
    measured(ends, scenes=3, latents=(10,))
    plain, side = ([one for one in ends.asked if one[0] == name] for name in ("meta", "side-info"))
    assert plain == [("meta", "")] * 3  # once a scene, not once a question
    of_first = [side[0:2], side[6:7], side[9:11], side[15:17]]
    assert [[question for _, question in way] for way in of_first] == [
        ["colour of 0?", "shape of 0?"],
        ["?"],
        ["shape of 0?", "colour of 0?"],
        ["colour of 1?", "shape of 1?"],
    ]
    assert len(side) == 6 + 3 + 6 + 6
    assert not question_words("?").any()


def test_bytes_are_equal_and_differences_are_between_the_same_questions() -> None:
    for rate, latents in zip(measured(Ends()), (10, 28), strict=True):
        assert rate.latents == latents
        assert rate.left_out == 1
        assert list(rate.ways) == list(rate.beside) == list(WAYS)
        assert {scores.payload.value for scores in rate.ways.values()} == {latents + 1.0}
        assert [scores.accuracy().value for scores in rate.ways.values()] == [0.5, 1.0, 1.0, 0.0, 0.0]
        assert [scores.agreement().value for scores in rate.beside.values()] == [0.5, 1.0, 1.0, 0.0, 0.0]
        apart = side_information.less(rate.ways["asked"].accuracy(), rate.ways["another"].accuracy())
        assert apart.value == 1.0
        assert np.all(apart.samples == 1.0)  # pairs that all differ have no spread


def test_the_table_has_a_row_a_rate_and_way() -> None:
    lines = table(measured(Ends())).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[:3] for row in rows[:5]] == [["10", "11.0", way] for way in WAYS]
    assert [row[0] for row in rows] == ["10"] * 5 + ["28"] * 5
    plain, asked, _, another, _ = rows[:5]
    assert plain[4] == plain[7] == ""
    assert asked[5] == asked[8] == ""
    assert re.fullmatch(r"\+0\.500 \[\+0\.\d{3}, \+1\.000\]", asked[7])
    assert another[8] == "+1.000 [+1.000, +1.000]"
    assert another[7].startswith("-0.500 [-1.000, ")


def test_questions_outside_the_mean_are_left_out() -> None:
    (item,) = items(1)
    print_of_it = replace(item.records[0], task="small-print")
    (kept,) = in_the_mean([replace(item, records=(print_of_it, *item.records))])
    assert kept.records == item.records


def test_too_few_scenes_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        measured(Ends(), scenes=1)
    assert any("scenes must be" in note for note in caught.value.__notes__)


def test_scenes_are_of_the_test_split_beyond_the_published_ones() -> None:
    (first,) = scene_items(side_information.SEED_START, 1, descriptions=False)
    assert first.image_id == "scene-8170000"
    assert len({record.task for record in first.records}) > 1
