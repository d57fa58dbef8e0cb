"""Questions, drafts, enough, finals and failures over a real websocket."""

import asyncio
import io

import pytest
from PIL import Image

from heliograph.errors import (
    AnsweringFailedError,
    BundleMismatchError,
    StreamDamagedError,
    StreamTruncatedError,
)
from heliograph.protocol.events import FinalReceived
from heliograph.protocol.session import DeviceSession
from heliograph.serving.cloud import Cloud
from heliograph.transport.websocket_client import open_websocket


def jpeg(size=(40, 30)):
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


def test_a_finished_photo_is_answered_from_all_of_it(serve, cloud, talk):
    async def conversation(device):
        device.ask()
        device.send([b"x"] * 7)
        await device.flush()
        return await device.final()

    final = talk(serve(cloud), conversation)
    assert (final.text, final.segments_used) == ("what seen at 7", 7)
    assert final.confidence == pytest.approx(0.5, abs=0.01)


def test_energy_says_enough_while_the_photo_still_comes(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="energy", target=128)  # half the energy: 6 segments of the counting codec
        device.send([b"x"] * 5, finish=False)
        await device.flush()
        draft = await device.until(events.Draft)
        device.session.send_segment(0, b"x")
        await device.flush()
        enough = await device.until(events.Enough)
        return draft, enough, await device.final()

    draft, enough, final = talk(serve(cloud), conversation)
    assert draft.text == "what seen at 5"
    assert enough.image_id == 0
    assert (final.text, final.segments_used) == ("what seen at 6", 6)


def test_enough_does_not_wait_for_the_model(serve, cloud, model, talk, events):
    model.free.clear()

    async def conversation(device):
        device.ask(controller="energy", target=20)
        device.send([b"x"], finish=False)
        await device.flush()
        await device.until(events.Enough)  # the model has not said a word
        model.free.set()
        return await device.final()

    assert talk(serve(cloud), conversation).text == "what seen at 1"


def test_drafts_skip_stale_prefixes_and_are_verified(serve, cloud, model, talk, events):
    async def conversation(device):
        device.ask()
        device.send([b"x"], finish=False)
        await device.flush()
        await device.until(events.Draft)
        model.free.clear()
        for _ in range(30):
            device.session.send_segment(0, b"x")
            await device.flush()
        await asyncio.sleep(0.3)
        model.free.set()
        device.session.finish_image(0)
        await device.flush()
        return await device.final()

    assert talk(serve(cloud), conversation).text == "what seen at 31"
    assert len(model.answered) <= 6
    assert model.verified[0] == "what seen at 1"


def test_a_second_question_costs_no_image_bytes_and_no_restoring(serve, cloud, talk):
    restored = []
    original = cloud.restore
    cloud.restore = lambda encoded: restored.append(1) or original(encoded)

    async def conversation(device):
        device.ask()
        device.send([b"x"] * 3)
        await device.flush()
        await device.final()
        before = device.connection.sent_bytes
        count = len(restored)
        device.ask(question_id=1, text="and now")
        await device.flush()
        final = await device.final()
        return final, device.connection.sent_bytes - before, len(restored) - count

    final, sent, again = talk(serve(cloud), conversation)
    assert final.text == "and now seen at 3"
    assert sent < 40
    assert again == 0


def test_a_later_question_that_needs_more_gets_more(serve, cloud, talk, events):
    async def conversation(device):
        device.ask(controller="energy", target=51)
        device.send([b"x"] * 3, finish=False)
        await device.flush()
        first = await device.final()
        device.ask(question_id=1, controller="energy", target=204)
        await device.flush()
        more = await device.until(events.More)
        for _ in range(6):
            device.session.send_segment(0, b"x")
        await device.flush()
        return first, more, await device.final()

    first, more, second = talk(serve(cloud), conversation)
    assert first.segments_used == 3
    assert more.image_id == 0
    assert second.segments_used == 9


def test_a_picture_is_answered_when_it_is_whole(serve, cloud, model, talk):
    data = jpeg()

    async def conversation(device):
        device.ask()
        device.send([data[:200], data[200:400], data[400:]], strategy="jpeg")
        await device.flush()
        return await device.final()

    assert talk(serve(cloud), conversation).text == "what seen at 100"
    assert model.encoded == [(40, 30)]


@pytest.mark.parametrize(
    ("segments", "error"),
    [([b"no picture at all"], (StreamDamagedError, StreamTruncatedError)), ([jpeg()[:150]], StreamTruncatedError)],
)
def test_an_unreadable_picture_is_a_named_error_and_the_session_lives(serve, cloud, talk, segments, error):
    async def conversation(device):
        device.ask()
        device.send(segments, strategy="jpeg")
        await device.flush()
        failed = await device.final()
        device.ask(question_id=1, image_id=1)
        device.send([b"x"], image_id=1)
        await device.flush()
        return failed, await device.final()

    failed, final = talk(serve(cloud), conversation)
    assert failed.question_id == 0
    assert issubclass(failed.error_class, error)
    assert final.text == "what seen at 1"


def test_a_damaged_segment_is_a_named_error_and_the_session_lives(serve, cloud, talk):
    async def conversation(device):
        device.ask(controller="energy", target=255)
        device.send([b"damaged"], finish=False)
        await device.flush()
        failed = await device.final()
        device.ask(question_id=1, image_id=1)
        device.send([b"x"], image_id=1)
        await device.flush()
        return failed, await device.final()

    failed, final = talk(serve(cloud), conversation)
    assert failed.error_class is StreamDamagedError
    assert isinstance(final, FinalReceived)


def test_a_failing_model_fails_one_question_only(serve, cloud, talk):
    async def conversation(device):
        device.ask(text="explode")
        device.send([b"x"])
        await device.flush()
        failed = await device.final()
        device.ask(question_id=1)
        await device.flush()
        return failed, await device.final()

    failed, final = talk(serve(cloud), conversation)
    assert failed.error_class is AnsweringFailedError
    assert final.text == "what seen at 1"


def test_nothing_restores_from_local(serve, cloud, talk):
    async def conversation(device):
        device.ask()
        device.send([], strategy="local")
        await device.flush()
        return await device.final()

    assert talk(serve(cloud), conversation).question_id == 0


def test_a_cloud_without_bundle_takes_pictures_only(serve, model, talk):
    async def conversation(device):
        device.ask()
        device.send([b"x"])
        device.ask(question_id=1, image_id=1)
        device.send([jpeg()], image_id=1, strategy="jpeg")
        await device.flush()
        return await device.final(), await device.final()

    refused, final = talk(serve(Cloud(model)), conversation)
    assert refused.error_class is BundleMismatchError
    assert final.text == "what seen at 100"


def test_a_cancelled_question_gets_no_answer(serve, cloud, model, talk):
    model.free.clear()

    async def conversation(device):
        device.ask()
        device.send([b"x"])
        await device.flush()
        await asyncio.sleep(0.2)
        device.session.cancel(0)
        device.ask(question_id=1, text="other")
        await device.flush()
        await asyncio.sleep(0.2)
        model.free.set()
        return await device.final()

    final = talk(serve(cloud), conversation)
    assert (final.question_id, final.text) == (1, "other seen at 1")


def test_devices_take_turns(serve, cloud, model):
    """A device with many questions does not keep another one waiting until all of its own are done."""
    server = serve(cloud)
    model.free.clear()

    async def both():
        sessions, connections = [], []
        for count in (20, 1):
            connection = await open_websocket(server.url)
            session = DeviceSession(b"8 bytes!")
            session.start()
            for question_id in range(count):
                session.ask(question_id, 0, f"many {question_id}" if count > 1 else "single")
            session.announce_image(0, "klt", b"")
            session.send_segment(0, b"x")
            session.finish_image(0)
            await connection.send(session.bytes_to_send())
            await asyncio.sleep(0.2)
            sessions.append(session)
            connections.append(connection)
        model.free.set()
        data = await asyncio.wait_for(connections[1].receive(), 20)
        while not any(isinstance(e, FinalReceived) for e in sessions[1].receive(data, 0.0)):
            data = await asyncio.wait_for(connections[1].receive(), 20)
        for connection in connections:
            await connection.close()

    asyncio.run(both())
    asked = [question for question, _ in model.answered]
    assert asked.index("single") <= 3
