"""Questions, drafts, enough, finals and failures over a real websocket."""

import asyncio
import contextlib
import io
import json
import time
import urllib.request

import pytest
from PIL import Image

from heliograph.errors import (
    AnsweringFailedError,
    BundleMismatchError,
    ConnectionLostError,
    FrameDamagedError,
    StreamDamagedError,
    StreamTruncatedError,
    TimedOutError,
    TooManyError,
    UnauthorizedError,
)
from heliograph.protocol.events import FinalReceived
from heliograph.protocol.session import DeviceSession
from heliograph.serving.application import CloudApplication
from heliograph.serving.cloud import Cloud
from heliograph.serving.connection import Limits
from heliograph.serving.runner import BackgroundServer
from heliograph.transport.websocket_client import open_websocket


def ask(device, question_id=0, image_id=0, question="what", controller="fixed", target=0):
    device.session.ask(question_id, image_id, question, controller=controller, target=target)


def send(device, segments, image_id=0, strategy="klt", finish=True):
    device.session.announce_image(image_id, strategy, b"")
    for segment in segments:
        device.session.send_segment(image_id, segment)
    if finish:
        device.session.finish_image(image_id)


def jpeg(size=(40, 30)):
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


def test_a_finished_photo_is_answered_from_all_of_it(serve, cloud, talk):
    async def conversation(device):
        ask(device)
        send(device, [b"x"] * 7)
        await device.flush()
        return await device.final()

    final = talk(serve(cloud), conversation)
    assert (final.text, final.segments_used) == ("what seen at 7", 7)
    assert final.confidence == pytest.approx(0.5, abs=0.01)


def test_energy_says_enough_while_the_photo_still_comes(serve, cloud, talk, events):
    async def conversation(device):
        ask(device, controller="energy", target=128)  # half the energy: 6 segments of the counting codec
        send(device, [b"x"] * 5, finish=False)
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
        ask(device, controller="energy", target=20)
        send(device, [b"x"], finish=False)
        await device.flush()
        await device.until(events.Enough)  # the model has not said a word
        model.free.set()
        return await device.final()

    assert talk(serve(cloud), conversation).text == "what seen at 1"


def test_drafts_skip_stale_prefixes_and_are_verified(serve, cloud, model, talk, events):
    async def conversation(device):
        ask(device)
        send(device, [b"x"], finish=False)
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
        ask(device)
        send(device, [b"x"] * 3)
        await device.flush()
        await device.final()
        before = device.connection.sent_bytes
        count = len(restored)
        ask(device, question_id=1, question="and now")
        await device.flush()
        final = await device.final()
        return final, device.connection.sent_bytes - before, len(restored) - count

    final, sent, again = talk(serve(cloud), conversation)
    assert final.text == "and now seen at 3"
    assert sent < 40
    assert again == 0


def test_a_later_question_that_needs_more_gets_more(serve, cloud, talk, events):
    async def conversation(device):
        ask(device, controller="energy", target=51)
        send(device, [b"x"] * 3, finish=False)
        await device.flush()
        first = await device.final()
        ask(device, question_id=1, controller="energy", target=204)
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
        ask(device)
        send(device, [data[:200], data[200:400], data[400:]], strategy="jpeg")
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
        ask(device)
        send(device, segments, strategy="jpeg")
        await device.flush()
        failed = await device.final()
        ask(device, question_id=1, image_id=1)
        send(device, [b"x"], image_id=1)
        await device.flush()
        return failed, await device.final()

    failed, final = talk(serve(cloud), conversation)
    assert failed.question_id == 0
    assert issubclass(failed.error_class, error)
    assert final.text == "what seen at 1"


def test_a_damaged_segment_is_a_named_error_and_the_session_lives(serve, cloud, talk):
    async def conversation(device):
        ask(device, controller="energy", target=255)
        send(device, [b"damaged"], finish=False)
        await device.flush()
        failed = await device.final()
        ask(device, question_id=1, image_id=1)
        send(device, [b"x"], image_id=1)
        await device.flush()
        return failed, await device.final()

    failed, final = talk(serve(cloud), conversation)
    assert failed.error_class is StreamDamagedError
    assert isinstance(final, FinalReceived)


def test_a_failing_model_fails_one_question_only(serve, cloud, talk):
    async def conversation(device):
        ask(device, question="explode")
        send(device, [b"x"])
        await device.flush()
        failed = await device.final()
        ask(device, question_id=1)
        await device.flush()
        return failed, await device.final()

    failed, final = talk(serve(cloud), conversation)
    assert failed.error_class is AnsweringFailedError
    assert final.text == "what seen at 1"


def test_nothing_restores_from_local(serve, cloud, talk):
    async def conversation(device):
        ask(device)
        send(device, [], strategy="local")
        await device.flush()
        return await device.final()

    assert talk(serve(cloud), conversation).question_id == 0


def test_a_cloud_without_bundle_takes_pictures_only(serve, model, talk):
    async def conversation(device):
        ask(device)
        send(device, [b"x"])
        ask(device, question_id=1, image_id=1)
        send(device, [jpeg()], image_id=1, strategy="jpeg")
        await device.flush()
        return await device.final(), await device.final()

    refused, final = talk(serve(Cloud(model, None)), conversation)
    assert refused.error_class is BundleMismatchError
    assert final.text == "what seen at 100"


def test_a_cancelled_question_gets_no_answer(serve, cloud, model, talk):
    model.free.clear()

    async def conversation(device):
        ask(device)
        send(device, [b"x"])
        await device.flush()
        await asyncio.sleep(0.2)
        device.session.cancel(0)
        ask(device, question_id=1, question="other")
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


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_wrong_token_is_turned_away(serve, cloud, talk, token, events):
    async def conversation(device):
        await device.flush()
        return await device.until(events.Closed)

    server = serve(cloud, access_tokens=frozenset({"right"}))
    assert talk(server, conversation, token).error_class is UnauthorizedError


def test_the_right_token_is_let_in(serve, cloud, talk):
    async def conversation(device):
        ask(device)
        send(device, [b"x"])
        await device.flush()
        return await device.final()

    assert isinstance(talk(serve(cloud, access_tokens=frozenset({"right"})), conversation, "right"), FinalReceived)


@pytest.mark.parametrize("garbage", [b"\xff" * 200, b"\x00", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40])
def test_the_server_lives_after_bad_frames(serve, cloud, talk, garbage, events):
    async def bad(device):
        device.session.bytes_to_send()
        await device.connection.send(garbage)
        data = await asyncio.wait_for(device.connection.receive(), 20)
        assert await asyncio.wait_for(device.connection.receive(), 20) == b""
        return data

    async def good(device):
        ask(device)
        send(device, [b"x"])
        await device.flush()
        return await device.final()

    server = serve(cloud)
    assert len(talk(server, bad)) < 16
    assert talk(server, good).text == "what seen at 1"


def test_text_messages_are_refused(serve, cloud, talk, events):
    async def conversation(device):
        await device.flush()
        await device.connection._websocket.send("hello")
        return await device.until(events.Closed)

    assert talk(serve(cloud), conversation).error_class is FrameDamagedError


def test_a_message_over_the_limit_ends_that_connection_only(serve, cloud, talk):
    async def huge(device):
        await device.flush()
        try:
            await device.connection.send(bytes(3 << 20))
            while await asyncio.wait_for(device.connection.receive(), 20):
                pass
        except ConnectionLostError:
            return

    async def good(device):
        ask(device)
        send(device, [b"x"])
        await device.flush()
        return await device.final()

    server = serve(cloud)
    talk(server, huge)
    assert talk(server, good).text == "what seen at 1"


def test_one_device_too_many_is_told_so(serve, cloud, talk, events):
    server = serve(cloud, limits=Limits(max_sessions=1))

    async def conversation(device):
        await device.flush()
        second = await open_websocket(server.url)
        device.session.close()
        other = type(device)(second)
        try:
            return await other.until(events.Closed)
        finally:
            await second.close()

    assert talk(server, conversation).error_class is TooManyError


def test_photos_beyond_the_servers_memory_end_the_session_that_sent_them(serve, cloud, talk, events):
    server = serve(cloud, limits=Limits(max_held_bytes=100_000))

    async def conversation(device):
        ask(device)
        send(device, [bytes(60_000), bytes(60_000)], finish=False)
        await device.flush()
        return await device.until(events.Closed)

    assert talk(server, conversation).error_class is TooManyError
    wait_for_metric(server, "held_payload_bytes_open", 0)


@pytest.mark.parametrize("limits", [Limits(hello_timeout_s=0.2), Limits(idle_timeout_s=0.2)])
def test_a_silent_device_is_let_go(serve, cloud, talk, limits, events):
    async def conversation(device):
        if limits.idle_timeout_s < 1:
            await device.flush()
        else:
            device.session.bytes_to_send()  # and never sent: HELLO does not come
        data = b""
        while part := await asyncio.wait_for(device.connection.receive(), 20):
            data += part
        return data

    assert bytes([TimedOutError.code]) in talk(serve(cloud, limits=limits), conversation)


def page(server, path):
    with urllib.request.urlopen(server.url.replace("ws://", "http://") + path, timeout=20) as response:
        return response.read().decode()


def metric(server, name):
    lines = [line for line in page(server, "/metrics").splitlines() if line.startswith(f"heliograph_{name} ")]
    return float(lines[0].split()[1])


def wait_for_metric(server, name, value):
    for _ in range(200):
        if metric(server, name) == value:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} is {metric(server, name)}, not {value}")


def test_health_and_metrics_tell_what_happened(serve, cloud, talk):
    async def conversation(device):
        ask(device)
        send(device, [b"x"] * 2)
        ask(device, question_id=1, question="explode")
        await device.flush()
        return [await device.final(), await device.final()]

    server = serve(cloud)
    talk(server, conversation)
    health = json.loads(page(server, "/health"))
    assert (health["status"], health["model"], health["bundle_hash"]) == ("ok", "telling", b"8 bytes!".hex())
    assert health["uptime_s"] >= 0
    wait_for_metric(server, "sessions_open", 0)
    wait_for_metric(server, "held_payload_bytes_open", 0)
    assert metric(server, "sessions_total") == 1
    assert metric(server, "questions_total") == 2
    assert metric(server, "finals_total") == 1
    assert metric(server, "errors_total") == 1
    assert metric(server, "received_bytes_total") > 20
    assert metric(server, "sent_bytes_total") > 10
    assert metric(server, "final_seconds_count") == 1


def test_the_port_is_free_again_and_devices_are_told_when_the_server_stops(cloud, talk):
    server = BackgroundServer(CloudApplication(cloud))
    server.__enter__()

    async def conversation(device):
        ask(device)
        await device.flush()
        await asyncio.sleep(0.1)
        await asyncio.get_running_loop().run_in_executor(None, server.__exit__, None, None, None)
        with contextlib.suppress(ConnectionLostError):  # an orderly end is as good: nothing hangs
            while await asyncio.wait_for(device.connection.receive(), 20):
                pass

    talk(server, conversation)
    port = int(server.url.rpartition(":")[2])
    with BackgroundServer(CloudApplication(cloud), port=port) as again:
        assert json.loads(page(again, "/health"))["status"] == "ok"
