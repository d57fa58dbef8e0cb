"""The loop over a real websocket: push, pull, budgets, times to answer in, and controllers that fail."""

import pytest

from desk_talk import calibration
from heliograph.codec.levels import LevelCurve
from heliograph.controllers.push import PushController
from heliograph.errors import BundleDamagedError
from heliograph.protocol.frames import AnswerFlag
from heliograph.serving.cloud import Cloud


@pytest.fixture
def calibrated(cloud):
    return Cloud(cloud.model, cloud._codecs, cloud.bundle_hash, calibration())


def test_push_takes_the_draft_that_was_sure_enough(serve, calibrated, model, talk, events):
    async def conversation(device):
        device.ask(controller="push", target=round(0.65 * 255))
        device.send([b"x"] * 3, finish=False)
        await device.flush()
        first = await device.until(events.Draft)
        device.session.send_segment(0, b"x")
        device.session.send_segment(0, b"x")
        device.session.send_segment(0, b"x")
        device.session.send_segment(0, b"x")
        await device.flush()
        return first, await device.until(events.Enough), await device.final()

    first, _, final = talk(serve(calibrated), conversation)
    assert first.text == "what seen at 3"
    assert (final.text, final.segments_used) == ("what seen at 7", 7)
    assert model.answered == [("what", 3), ("what", 7)]  # the draft is the final answer: no third pass


def test_push_by_the_error_head_stops_without_a_draft(serve, calibrated, model, talk, events):
    model.free.clear()

    async def conversation(device):
        device.ask(controller="push", target=round(0.65 * 255), confidence="error-head")
        device.send([b"x"] * 7, finish=False)
        await device.flush()
        await device.until(events.Enough)  # the model has not said a word
        model.free.set()
        return await device.final()

    assert talk(serve(calibrated), conversation).segments_used == 7


def test_push_without_a_calibration_goes_by_energy(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="push", target=255)
        device.send([b"x"] * 10, finish=False)
        await device.flush()
        await device.until(events.Enough)
        return await device.final()

    assert talk(serve(cloud), conversation).segments_used == 10


def test_pull_asks_for_every_chunk_but_the_first(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="pull", target=round(0.75 * 255))
        device.send([b"x"] * 3, finish=False, total=12)
        await device.flush()
        asked = []
        for _ in range(2):
            more = await device.until(events.More)
            asked.append(more.segments)
            for _ in range(more.segments):
                device.session.send_segment(0, b"x")
            await device.flush()
        return asked, await device.final()

    asked, final = talk(serve(cloud), conversation)
    assert asked == [3, 3]
    assert final.segments_used == 9


@pytest.mark.parametrize(("target", "segments"), [(127, 6), (128, 7), (25, 4)])
def test_level_stops_where_the_bundles_curve_says(target, segments, serve, cloud, talk, monkeypatch):
    curve = LevelCurve((0, 4, 8), (0.0, 0.25, 0.75), 20, 60)
    monkeypatch.setattr(cloud.codec("klt"), "levels", curve, raising=False)

    async def conversation(device):
        device.ask(controller="level", target=target)
        device.send([b"x", b"x", b"x", b"x"], finish=False)
        await device.flush()
        for _ in range(max(segments - 4, 0)):
            device.session.send_segment(0, b"x")
            await device.flush()
        return await device.final()

    assert talk(serve(cloud), conversation).segments_used == segments


def test_level_without_a_curve_is_refused_by_name(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="level", target=128)
        device.send([b"x"], finish=False)
        await device.flush()
        return await device.until(events.Error)

    assert talk(serve(cloud), conversation).error_class is BundleDamagedError


@pytest.mark.parametrize("controller", ["fixed", "energy", "level", "push", "pull"])
def test_a_photo_without_a_segment_is_answered(controller, serve, calibrated, talk):
    async def conversation(device):
        device.ask(controller=controller)
        device.send([])
        await device.flush()
        return await device.final()

    final = talk(serve(calibrated), conversation)
    assert (final.text, final.segments_used) == ("what seen at 0", 0)


def test_pull_ends_with_the_photo(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="pull", target=255)
        device.send([b"x"], finish=False, total=4)
        await device.flush()
        for place in range(3):
            await device.until(events.More)
            device.session.send_segment(0, b"x")
            if place == 2:
                device.session.finish_image(0)
            await device.flush()
        return await device.final()

    assert talk(serve(cloud), conversation).segments_used == 4


def test_a_byte_budget_is_kept(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="energy", target=255, byte_budget=4)
        device.send([b"xx"], finish=False)
        await device.flush()
        device.session.send_segment(0, b"xx")
        await device.flush()
        await device.until(events.Enough)
        return await device.final()

    assert talk(serve(cloud), conversation).segments_used == 2


def test_a_time_to_answer_in_ends_the_wait_for_a_photo_that_comes_slowly(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="energy", target=255, answer_within_s=0.256)
        device.send([b"x"], finish=False)
        await device.flush()  # and nothing follows
        await device.until(events.Enough)
        return await device.final()

    assert talk(serve(cloud), conversation).segments_used == 1


@pytest.mark.parametrize("drafted", [True, False])
def test_a_controller_that_raises_leaves_the_answer_that_was_there(
    serve, calibrated, talk, events, monkeypatch, drafted
):
    """With a draft that one is delivered; without one the answer is made from what has arrived."""
    original = PushController.decide

    def decide(self, seen):
        if drafted and seen.draft is None:
            return original(self, seen)
        raise RuntimeError("a secret that must not travel")

    monkeypatch.setattr(PushController, "decide", decide)

    async def conversation(device):
        device.ask(controller="push", target=255)
        device.send([b"x"] * 3, finish=False)
        await device.flush()
        failed = await device.final()
        monkeypatch.setattr(PushController, "decide", original)
        device.ask(question_id=1)
        device.session.finish_image(0)
        await device.flush()
        return failed, await device.final()

    failed, after = talk(serve(calibrated), conversation)
    assert (failed.text, failed.flags) == ("what seen at 3", AnswerFlag.CONTROLLER_FAILED)
    assert (after.text, after.flags) == ("what seen at 3", AnswerFlag(0))


def test_a_codec_that_cannot_be_asked_leaves_the_answer_that_is_made(serve, cloud, talk, monkeypatch):
    def fail(header, segments):
        raise RuntimeError("a secret that must not travel")

    monkeypatch.setattr(cloud._codecs["klt"], "retained_energy", fail)

    async def conversation(device):
        device.ask(controller="energy", target=255)
        device.send([b"x"] * 3, finish=False)
        await device.flush()
        return await device.final()

    final = talk(serve(cloud), conversation)
    assert (final.text, final.flags) == ("what seen at 3", AnswerFlag.CONTROLLER_FAILED)
