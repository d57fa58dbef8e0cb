"""The runner on a real model with random weights: what it counts, and that everything is asked of everyone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.metrics import ALL
from heliograph.bench.runner import Candidate, Runner
from heliograph.bench.scores import Scores
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.tools import Bench, BenchDevice
from heliograph.codec.bundle import write_bundle
from heliograph.codec.fitting.fit import fit_klt
from heliograph.edge.device import Device
from heliograph.serving.cloud import Cloud
from heliograph.strategies.base import Restored
from heliograph.training.progress import Progress
from heliograph.types import VisualTokens, Words


class _ModelDevice(Device):
    """A device whose tower is the model's own; counts how often it runs."""

    def __init__(self, bundle: object, model: object) -> None:
        super().__init__(bundle)
        self.model, self.runs = model, 0

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        self.runs += 1
        return self.model.encode_image(photo)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return list(scene_items(8_000_000, 9, descriptions=True))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, items: list[Item]) -> Bench:
    from heliograph.reference.recipe import build_reference_model
    from heliograph.vlm.model import VisionLanguageModel

    folder: Path = build_reference_model(tmp_path_factory.mktemp("model"), 0)
    model = VisionLanguageModel.load(str(folder))
    codec = fit_klt(model.encode_images([item.photo for item in items]))
    bundle = write_bundle(
        tmp_path_factory.mktemp("bundle"),
        codecs=[codec],
        grid=model.grid,
        hidden_size=model.hidden_size,
        preprocessing={**model.processor.image_processor.to_dict(), "do_image_splitting": False},
    )
    device = BenchDevice(_ModelDevice(bundle, model))
    return Bench(model, bundle, device, Cloud(model, bundle.codecs, bundle.hash))


@pytest.fixture(scope="module")
def runner(bench: Bench, items: list[Item]) -> Runner:
    candidates = [
        Candidate("klt", {"max_bytes": 24}),
        Candidate("klt", {"level": 16}),
        Candidate("jpeg", {"size": 48, "quality": 40}),
        Candidate("rgb", {}),
        Candidate("int8", {}),
    ]
    made = Runner(bench, candidates, timed_photos=2)
    with Progress(quiet=True) as progress:
        made.run(items[:3], 3, progress, "")
    return made


def test_every_question_is_asked_of_every_candidate(runner: Runner, items: list[Item]) -> None:
    asked = sum(len(item.records) for item in items[:3])
    for outcome in (*runner.outcomes, runner.uncompressed):
        assert sum(map(len, outcome.scores.values())) == asked
        assert outcome.scores.keys() == outcome.agreements.keys()
        assert set(outcome.photos) == {item.image_id for item in items[:3]}


def test_the_uncompressed_input_agrees_with_itself(runner: Runner, items: list[Item]) -> None:
    by_name = {o.candidate.strategy: o for o in runner.outcomes}
    names = [item.image_id for item in items[:3]]
    assert Scores(by_name["rgb"], names).agreement(ALL).value == 1.0
    assert Scores(runner.uncompressed, names).agreement(ALL).value == 1.0


def test_every_candidate_is_what_a_device_would_send(runner: Runner, items: list[Item], bench: Bench) -> None:
    small, large = runner.outcomes[:2]
    for item in items[:3]:
        photo = small.photos[item.image_id]
        assert photo.payload_bytes <= 24
        sent = bench.bundle.codec("klt").encode(bench.model.encode_image(item.photo), level=16)
        assert large.photos[item.image_id].payload_bytes == sent.payload_bytes
        assert 0 < photo.codec_ms <= photo.encode_ms


def test_the_tower_runs_once_a_photo_and_is_charged_to_tokens_only(runner: Runner, bench: Bench) -> None:
    assert bench.device.device.runs == 3
    by_name = {o.candidate.strategy: o for o in runner.outcomes}
    for photo in by_name["int8"].photos.values():
        assert photo.encode_ms > photo.codec_ms
    for photo in by_name["jpeg"].photos.values():
        assert photo.encode_ms == photo.codec_ms


def test_messages_are_kept_for_the_sample(runner: Runner) -> None:
    for outcome in runner.outcomes:
        assert len(outcome.messages) == 2
        for image_id, messages in outcome.messages.items():
            assert sum(messages.photo) > outcome.photos[image_id].payload_bytes


def test_answers_come_in_the_order_of_the_records(runner: Runner, items: list[Item], bench: Bench) -> None:
    tokens = bench.model.encode_images([items[0].photo])[0]
    seen = runner._answers([items[0]], [tokens])[0]
    for record, answer in zip(items[0].records, seen, strict=True):
        most = len(answer.token_ids)
        assert bench.model.answer(record.question, [tokens], max_new_tokens=most).text == answer.text


def test_pictures_reach_the_model_through_its_own_tower(runner: Runner, bench: Bench, items: list[Item]) -> None:
    photo = items[0].photo.resize((64, 64))
    mixed = [Restored(text="OPEN"), Restored(image=photo)]
    words, tokens = runner._as_seen(mixed)
    assert words == Words("OPEN")
    assert isinstance(tokens, VisualTokens)
    assert np.array_equal(tokens.values, bench.model.encode_image(photo).values)
    assert runner._as_seen([Restored(tokens=tokens)]) == [tokens]
