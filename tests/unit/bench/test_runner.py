"""The runner on a real model with random weights: what it counts, and that everything is asked of everyone."""

import threading
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.kept import KeptChunks, Measured
from heliograph.bench.metrics import ALL, agrees
from heliograph.bench.outcomes import Asked, Candidate, Outcome
from heliograph.bench.runner import Runner
from heliograph.bench.scores import Scores
from heliograph.bench.tasks import DESCRIPTION, Item, scene_items
from heliograph.bench.tools import Bench, BenchDevice
from heliograph.codec.bundle import write_bundle
from heliograph.codec.fitting.fit import fit_klt
from heliograph.edge.device import Device
from heliograph.registry import STRATEGIES
from heliograph.serving.cloud import Cloud
from heliograph.strategies.base import CloudTools, DeviceTools, Restored, Setting
from heliograph.strategies.baseline.pixels import JpegStrategy
from heliograph.training.progress import Progress
from heliograph.types import Answer, EncodedImage, VisualTokens, Words


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


def test_what_a_strategy_had_the_device_run_is_noted(runner: Runner) -> None:
    found = {outcome.candidate.strategy: outcome.asked for outcome in runner.outcomes}
    assert found == {"klt": {Asked.TOWER}, "int8": {Asked.TOWER}, "jpeg": set(), "rgb": set()}


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


class _Untouchable:
    """A model that must not be asked."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"asked for {name}")


def test_what_was_measured_before_is_not_measured_again(bench, items, runner, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("heliograph.bench.runner.current_commit", lambda: "0123abcd")
    candidates = [outcome.candidate for outcome in runner.outcomes]
    stopped = Runner(bench, candidates, timed_photos=2, kept=tmp_path)
    with Progress(quiet=True) as progress:
        stopped.run(items[:3], 3, progress, "")
        idle = Bench(_Untouchable(), bench.bundle, bench.device, bench.cloud)
        again = Runner(idle, candidates, timed_photos=2, kept=tmp_path)
        again.run(items[:3], 3, progress, "")
        assert again.outcomes == stopped.outcomes
        assert again.uncompressed == stopped.uncompressed
        assert again._uncompressed_texts == stopped._uncompressed_texts
        for other in (
            Runner(idle, candidates[:2], timed_photos=2, kept=tmp_path),
            Runner(idle, candidates, timed_photos=1, kept=tmp_path),
            Runner(idle, candidates, timed_photos=2),
        ):
            with pytest.raises(AssertionError, match="asked for"):
                other.run(items[:3], 3, progress, "")
        with pytest.raises(AssertionError, match="asked for"):
            Runner(idle, candidates, timed_photos=2, kept=tmp_path).run(items[:2], 2, progress, "")


def test_runs_at_the_same_time_share_the_work(bench, items, runner, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("heliograph.bench.runner.current_commit", lambda: "0123abcd")
    monkeypatch.setattr("heliograph.bench.runner.CHUNK_PHOTOS", 1)
    candidates = [outcome.candidate for outcome in runner.outcomes]
    mine, other = (Runner(bench, candidates, timed_photos=2, kept=tmp_path) for _ in range(2))
    measured: list[str] = []

    def measure(chunk: list[Item]) -> Measured:
        measured.extend(one.image_id for one in chunk)
        return Runner._run_chunk(mine, chunk)

    monkeypatch.setattr(mine, "_run_chunk", measure)
    with Progress(quiet=True) as progress:
        with mine._kept.claimed([items[0].image_id]) as claimed, other._kept.claimed([items[0].image_id]) as twice:
            assert (claimed, twice) == (True, False)
            late = threading.Timer(0.5, lambda: other._kept.keep([items[0].image_id], other._run_chunk(items[:1])))
            late.start()
            mine.run(items[:3], 3, progress, "")
            late.join()
        assert measured == [one.image_id for one in items[1:3]]
        idle = Runner(Bench(_Untouchable(), bench.bundle, bench.device, bench.cloud), candidates, 2, kept=tmp_path)
        idle.run(items[:3], 3, progress, "")
    assert [one.photos for one in idle.outcomes] == [one.photos for one in mine.outcomes]
    assert list(idle.uncompressed.photos) == [one.image_id for one in items[:3]]


def test_a_claim_ends_with_its_context(tmp_path) -> None:
    kept = KeptChunks(tmp_path)
    with kept.claimed(["a"]), KeptChunks(tmp_path).claimed(["b"]) as other:
        assert other
    with KeptChunks(tmp_path).claimed(["a"]) as mine:
        assert mine
    with KeptChunks(None).claimed(["a"]) as nowhere:
        assert nowhere


@pytest.mark.parametrize("commit", ["0123abcd+", "unknown"])
def test_a_checkout_without_a_commit_of_its_own_keeps_nothing(bench, items, tmp_path, monkeypatch, commit) -> None:
    monkeypatch.setattr("heliograph.bench.runner.current_commit", lambda: commit)
    with Progress(quiet=True) as progress:
        Runner(bench, [Candidate("rgb", {})], kept=tmp_path).run(items[:1], 1, progress, "")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_measured_again(bench, items, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("heliograph.bench.runner.current_commit", lambda: "0123abcd")
    with Progress(quiet=True) as progress:
        first = Runner(bench, [Candidate("rgb", {})], kept=tmp_path)
        first.run(items[:1], 1, progress, "")
        (kept,) = tmp_path.glob("*.json")
        kept.write_text(kept.read_text()[:-100])
        again = Runner(bench, [Candidate("rgb", {})], kept=tmp_path)
        again.run(items[:1], 1, progress, "")
    assert again.outcomes[0].scores == first.outcomes[0].scores


def test_only_questions_whose_uncompressed_answer_leads_are_sure(items) -> None:
    record = items[0].records[0]
    item = Item("a", items[0].photo, (record, record, record))
    outcome = Outcome(Candidate("rgb", {}))
    wanted = [Answer("yes", 1.0, 0.0, margin=margin) for margin in (0.1, 0.099, float("nan"))]
    outcome.add_answers(item, [Answer("no", 1.0, 0.0)] * 3, wanted)
    assert outcome.agreements == {("a", record.task): [0.0] * 3}
    assert outcome.sure == {("a", record.task): [0.0]}


def test_answers_come_in_the_order_of_the_records(runner: Runner, items: list[Item], bench: Bench) -> None:
    tokens = bench.model.encode_images([items[0].photo])[0]
    seen = runner._answers([items[0]], [[tokens]])[0]
    for record, answer in zip(items[0].records, seen, strict=True):
        most = len(answer.token_ids)
        assert bench.model.answer(record.question, [tokens], max_new_tokens=most).text == answer.text


def test_pictures_reach_the_model_through_its_own_tower(runner: Runner, bench: Bench, items: list[Item]) -> None:
    photo = items[0].photo.resize((64, 64))
    other = items[1].photo.resize((64, 64))
    (words, tokens), (second, third) = runner._as_seen(
        [[Restored(text="OPEN"), Restored(image=photo)], [Restored(image=other), Restored(image=photo)]]
    )
    assert words == Words("OPEN")
    for found, shown in ((tokens, photo), (second, other), (third, photo)):
        assert isinstance(found, VisualTokens)
        np.testing.assert_allclose(found.values, bench.model.encode_image(shown).values, atol=1e-5)
    assert isinstance(tokens, VisualTokens)
    assert runner._as_seen([[Restored(tokens=tokens)]]) == [[tokens]]


class _AskedStrategy(JpegStrategy):
    """Quality by the question's length, so that every stream tells what it was made for."""

    def asks(self, setting: Setting) -> bool:
        return True

    def encode(self, photo: Image.Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        return super().encode(photo, tools, {"size": 32, "quality": len(tools.question) or 100})


def test_a_stream_made_for_a_question_is_made_for_each(bench: Bench, items: list[Item]) -> None:
    item = items[0]
    made = Runner(bench, [Candidate("jpeg", {"size": 32})], timed_photos=1)
    made._strategies["jpeg"] = _AskedStrategy()
    with Progress(quiet=True) as progress:
        (outcome,) = made.run([item, replace(items[1], records=())], 2, progress, "")
    by_quality = {q: JpegStrategy().encode(item.photo, bench.device, {"size": 32, "quality": q}) for q in range(1, 101)}
    streams = [by_quality[len(record.question)] for record in item.records]
    assert len({stream.payload_bytes for stream in streams}) > 2
    assert outcome.photos[item.image_id].payload_bytes == np.mean([one.payload_bytes for one in streams])
    pictures = [JpegStrategy().restore(one, bench.cloud).image for one in streams]
    for record, picture, score in zip(item.records, pictures, chain(*outcome.agreements.values()), strict=True):
        said = [bench.model.answer(record.question, [one], max_new_tokens=12).text for one in (picture, item.photo)]
        if record.task != DESCRIPTION:
            assert score == agrees(*said)
    assert len(outcome.agreements) == len(item.records)
    whole = JpegStrategy().encode(items[1].photo, bench.device, {"size": 32, "quality": 100})
    assert outcome.photos[items[1].image_id].payload_bytes == whole.payload_bytes  # asked nothing, and sent once


class _HearingStrategy(JpegStrategy):
    """A picture as bright as the question is long."""

    name, hears, wire_id = "hearing", True, 127

    def encode(self, photo: Image.Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        return replace(super().encode(photo, tools, {"size": 32}), strategy="hearing")

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        return Restored(image=Image.new("RGB", (32, 32), (5 * len(tools.question),) * 3))


def test_a_stream_that_is_restored_for_a_question_is_sent_once_and_restored_for_each(
    bench: Bench, items: list[Item]
) -> None:
    STRATEGIES.register("hearing", _HearingStrategy)
    try:
        made = Runner(bench, [Candidate("hearing", {"size": 32})])
        with Progress(quiet=True) as progress:
            (outcome,) = made.run(items[:1], 1, progress, "")
    finally:
        STRATEGIES._registered.clear()
        STRATEGIES._resolved = None
    item, sent = items[0], JpegStrategy().encode(items[0].photo, bench.device, {"size": 32})
    assert outcome.photos[item.image_id].payload_bytes == sent.payload_bytes
    assert {len(record.question) for record in item.records} != {len(item.records[0].question)}
    for record, score in zip(item.records, chain(*outcome.agreements.values()), strict=True):
        shown = Image.new("RGB", (32, 32), (5 * len(record.question),) * 3)
        said = [bench.model.answer(record.question, [one], max_new_tokens=12).text for one in (shown, item.photo)]
        if record.task != DESCRIPTION:
            assert score == agrees(*said)
