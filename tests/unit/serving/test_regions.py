"""The second look over a real websocket: asked for, sent, refused, late, damaged, too often."""

import contextlib

import pytest

from heliograph.boxes import PixelBox
from heliograph.controllers.region.find import Found
from heliograph.errors import FrameDamagedError, TooManyError, TooManyRegionsError
from heliograph.protocol.events import FinalReceived
from heliograph.protocol.frames import AnswerFlag
from heliograph.serving.cloud import Cloud
from heliograph.serving.limits import Limits


class CornerFinder:
    """Points at the upper left quarter; fails on request."""

    def __init__(self):
        self.fails = False

    def find(self, question, tokens, photo_size):
        if self.fails:
            raise RuntimeError("a secret that must not travel")
        width, height = photo_size
        return Found(PixelBox(0, 0, width // 2, height // 2), 0.7)


@pytest.fixture
def finder():
    return CornerFinder()


@pytest.fixture
def looking(cloud, finder):
    return Cloud(cloud.model, cloud._codecs, cloud.bundle_hash, finder=finder)


async def asked_for_a_region(device, events, question_id=0, **wish):
    """Ask with a photo of three segments; the REGION that comes."""
    device.ask(question_id, question_id, region="always", **wish)
    device.send([b"x"] * 3, question_id)
    await device.flush()
    return await device.until(events.Region)


def send_crop(device, image_id, segments, question_id=0):
    device.session.send_crop(question_id, image_id)
    device.send(segments, image_id)


def test_the_answer_comes_from_photo_and_region_together(serve, looking, talk, events):
    async def conversation(device):
        region = await asked_for_a_region(device, events)
        first = [event for event in device.events if isinstance(event, events.Draft)]
        send_crop(device, 1, [b"y"] * 5)
        await device.flush()
        return region, first, await device.final()

    region, _, final = talk(serve(looking), conversation)
    assert (region.question_id, region.box) == (0, (0, 0, 512, 512))
    assert (final.text, final.flags, final.segments_used) == ("what seen at 3 and 5", AnswerFlag.LOOKED, 3)
    assert final.confidence == pytest.approx(0.75, abs=0.01)


def test_the_first_answer_is_shown_and_stays_where_it_is_more_confident(serve, looking, model, talk, events):
    model.second_confidence = 0.25

    async def conversation(device):
        device.ask(region="always")
        device.send([b"x"] * 3)
        await device.flush()
        draft = await device.until(events.Draft)
        await device.until(events.Region)
        send_crop(device, 1, [b"y"])
        await device.flush()
        return draft, await device.final()

    draft, final = talk(serve(looking), conversation)
    assert draft.text == final.text == "what seen at 3"
    assert final.flags == AnswerFlag(0)


@pytest.mark.parametrize("reply", ["refused", "damaged", "forgotten"])
def test_a_region_that_does_not_come_leaves_the_first_answer(serve, looking, talk, events, reply):
    async def conversation(device):
        await asked_for_a_region(device, events)
        if reply == "refused":
            device.session.send_crop(0, None)
        elif reply == "damaged":
            send_crop(device, 1, [b"damaged"])
        else:
            device.session.send_crop(0, 1)
            device.send([b"y"], 1, finish=False)
            device.session.forget_image(1)
        await device.flush()
        return await device.final()

    final = talk(serve(looking), conversation)
    assert (final.text, final.flags) == ("what seen at 3", AnswerFlag.REGION_MISSED)


def test_a_device_that_is_silent_about_the_region_gets_the_first_answer(serve, looking, talk, events):
    async def conversation(device):
        await asked_for_a_region(device, events)
        return await device.final()

    final = talk(serve(looking, limits=Limits(region_timeout_s=0.1)), conversation)
    assert (final.text, final.flags) == ("what seen at 3", AnswerFlag.REGION_MISSED)


def test_a_finder_that_raises_leaves_the_first_answer_with_a_warning(serve, looking, finder, talk):
    finder.fails = True

    async def conversation(device):
        device.ask(region="always")
        device.send([b"x"] * 3)
        await device.flush()
        return await device.final()

    final = talk(serve(looking), conversation)
    assert (final.text, final.flags) == ("what seen at 3", AnswerFlag.CONTROLLER_FAILED)


def test_no_region_is_asked_for_by_a_cloud_without_finder_or_a_question_without_policy(serve, cloud, looking, talk):
    async def conversation(device):
        device.ask(region="always")
        device.send([b"x"] * 3)
        await device.flush()
        return await device.final()

    async def plain(device):
        device.ask()
        device.send([b"x"] * 3)
        await device.flush()
        return await device.final()

    for final in (talk(serve(cloud), conversation), talk(serve(looking), plain)):
        assert (final.text, final.flags) == ("what seen at 3", AnswerFlag(0))


def test_a_session_that_forces_regions_meets_a_named_limit(serve, looking, talk, events):
    async def conversation(device):
        for number in range(2):
            await asked_for_a_region(device, events, question_id=2 * number)
            send_crop(device, 2 * number + 1, [b"y"], 2 * number)
            await device.flush()
            await device.final()
        device.ask(8, 0, region="always")
        await device.flush()
        refused = await device.final()
        device.ask(9, 0)  # without a region it is answered
        await device.flush()
        return refused, await device.final()

    refused, after = talk(serve(looking, limits=Limits(max_regions=2)), conversation)
    assert (refused.question_id, refused.error_class) == (8, TooManyRegionsError)
    assert after.text == "what seen at 3"


def test_a_crop_that_nobody_asked_for_ends_the_question_and_not_the_session(serve, looking, talk, events):
    async def conversation(device):
        device.ask(controller="energy", target=255)
        device.send([b"x"], finish=False)
        send_crop(device, 1, [b"y"])
        await device.flush()
        refused = await device.until(events.Error)
        device.ask(1, 1, "now")
        await device.flush()
        return refused, await device.final()

    refused, after = talk(serve(looking), conversation)
    assert (refused.question_id, refused.error_class) == (0, TooManyRegionsError)
    assert after.text == "now seen at 1"


# ---- other greed -----------------------------------------------------------------------------------------
def test_a_thousand_questions_at_once_meet_a_named_limit(serve, cloud, model, talk, events):
    from heliograph.protocol.frames import QuestionFrame, encode_frame

    model.free.clear()

    async def conversation(device):
        device.send([b"x"], finish=False)
        device.session.finish_image(0)
        frames = [encode_frame(QuestionFrame(n, 0, 0, 0, 64, False, b"what")) for n in range(1000)]
        await device.connection.send(device.session.bytes_to_send() + b"".join(frames))
        device.session._drafts.update({n: b"" for n in range(1000)})
        device.session._next_question_id = 1000
        refused = [await device.until(events.Error) for _ in range(1000 - 64)]
        model.free.set()
        return refused, [await device.until(FinalReceived) for _ in range(64)]

    refused, finals = talk(serve(cloud), conversation)
    assert {event.error_class for event in refused} == {TooManyError}
    assert {event.text for event in finals} == {"what seen at 1"}


def test_a_device_that_never_stops_sending_meets_the_bound_of_its_photo(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="energy", target=20)
        device.send([b"x"], finish=False)
        await device.flush()
        final = await device.final()  # enough was said
        with contextlib.suppress(Exception):
            for _ in range(5000):
                device.session._images.held(0).segments = 0  # a device that does not count
                device.session.send_segment(0, b"x")
        device.ask(1, 0)
        await device.flush()
        return final, await device.until(events.Error)

    final, refused = talk(serve(cloud), conversation)
    assert final.text == "what seen at 1"
    assert refused.error_class.name == "payload-too-large"


def test_noise_after_a_region_ends_that_session_only(serve, looking, talk, events):
    async def conversation(device):
        await asked_for_a_region(device, events)
        await device.connection.send(b"\x78\x05\xff\xff\xff\xff\x7f")
        return await device.until(events.Closed)

    async def good(device):
        device.ask()
        device.send([b"x"])
        await device.flush()
        return await device.final()

    server = serve(looking)
    assert talk(server, conversation).error_class is FrameDamagedError
    assert talk(server, good).text == "what seen at 1"
