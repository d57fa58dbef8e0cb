"""Random and mutated frames: no traceback, and memory stays bounded."""

from __future__ import annotations

import random
import tracemalloc

from heliograph.errors import HeliographError
from heliograph.protocol.events import SessionClosed
from heliograph.protocol.frames import AnswerFlag
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.limits import MAX_FRAME_BYTES, MAX_IMAGES, MAX_OPEN_QUESTIONS
from heliograph.protocol.session import CloudSession, DeviceSession

CASES_PER_END = 100_000
HASH = b"bundle-h"
TOKEN = b"0123456789abcdef"
PORTION_BYTES = 64 << 10


def device_speech() -> bytes:
    device = DeviceSession(HASH, "key", session_token=TOKEN)
    device.start()
    device.ask(0, 0, "what is on the sign?", controller="push", confidence="margin", byte_budget=9, deadline=9)
    device.announce_image(0, "klt", b"header", 5)
    for size in (3, 0, 127, 128):
        device.send_segment(0, b"s" * size)
    device.finish_image(0)
    device.send_crop(0, 1)
    device.ask(9, 0, "which colour?", region="always")
    device.send_crop(9, None)
    device.cancel(9)
    device.forget_image(0)
    return device.bytes_to_send()


def cloud_speech() -> bytes:
    device = asking_device()
    cloud = CloudSession(HASH, frozenset({"key"}), "reference", session_token=TOKEN, recall=one_photo)
    cloud.receive(device.bytes_to_send(), 0.0)
    cloud.send_draft(6, "red", 0.5, 1)
    cloud.send_draft(6, "red ball", 0.7, 2)
    cloud.send_more(6, 3)
    cloud.send_region(6, (1, 2, 300, 400))
    cloud.send_enough(6)
    cloud.send_final(6, "red ball", 0.9, 3, AnswerFlag.LOOKED)
    return cloud.bytes_to_send()


def one_photo(token: bytes) -> SessionMemory:
    memory = SessionMemory()
    memory.images.add(5, 9)
    return memory


def asking_device() -> DeviceSession:
    device = DeviceSession(HASH, "key", session_token=TOKEN)
    device.start()
    device.ask(6, 6, "what is on the sign?")
    device.announce_image(6, "klt", b"header")
    return device


def mutated(source: random.Random, speech: bytes) -> bytes:
    if source.random() < 0.2:
        return source.randbytes(source.randint(1, 60))
    data = bytearray(speech)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(data))
        kind = source.randrange(4)
        if kind == 0:
            data[at] = source.randrange(256)
        elif kind == 1:
            del data[at : at + source.randint(1, 8)]
        elif kind == 2:
            data[at:at] = source.randbytes(source.randint(1, 8))
        else:
            data[at:at] = data[: source.randint(1, 40)]
        if not data:
            return b"\0"
    return bytes(data)


def judge(end: CloudSession | DeviceSession, data: bytes) -> bool:
    """Feed one case; True where it closed the session."""
    try:
        events = end.receive(data, 0.0)
    except HeliographError as error:
        raise AssertionError("receive must not raise") from error
    assert end.held_bytes <= MAX_FRAME_BYTES + PORTION_BYTES
    assert len(end.open_questions) <= MAX_OPEN_QUESTIONS
    assert len(end.bytes_to_send()) <= 96 + 4 * len(data)
    closed = any(isinstance(event, SessionClosed) for event in events)
    assert closed == end.closed
    return closed


def test_200_000_random_and_mutated_streams() -> None:
    source = random.Random(20_260_101)
    from_device, from_cloud = device_speech(), cloud_speech()
    closed = 0
    for _ in range(CASES_PER_END):
        closed += judge(CloudSession(HASH, frozenset({"key"}), recall=one_photo), mutated(source, from_device))
        closed += judge(asking_device(), mutated(source, from_cloud))
    assert 0.3 * CASES_PER_END < closed < 2 * CASES_PER_END  # both outcomes happen often


def test_memory_of_one_session_stays_bounded_under_endless_frames() -> None:
    source = random.Random(7)
    cloud = CloudSession(HASH, frozenset())
    device = DeviceSession(HASH)
    device.start()
    cloud.receive(device.bytes_to_send(), 0.0)
    question_id = image_id = 0
    tracemalloc.start()
    try:
        for _ in range(3000):
            for _ in range(source.randint(1, 4)):
                cloud.receive(bytes([0x27]) + _sized(_varint(image_id + 7) + b"\x02"), 0.0)
                image_id += 1
                question = _varint(question_id + 7) + _varint(image_id + 6) + b"\x01\xe6\x40" + b"q" * 900
                cloud.receive(bytes([0x1F]) + _sized(question), 0.0)
                question_id += 1
            cloud.receive(b"\xff" + b"s" * 127, 0.0)
            cloud.bytes_to_send()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not cloud.closed
    assert len(cloud.open_questions) == MAX_OPEN_QUESTIONS
    assert sum(cloud.image_count(7 + i) is not None for i in range(image_id)) == MAX_IMAGES
    assert peak_bytes < 1 << 20


def test_a_segment_that_never_completes_holds_at_most_one_frame() -> None:
    cloud = CloudSession(HASH, frozenset())
    device = DeviceSession(HASH)
    device.start()
    device.announce_image(0, "klt", b"")
    cloud.receive(device.bytes_to_send() + bytes([5 << 3]) + _varint(1 << 20), 0.0)
    for _ in range(1023):
        cloud.receive(b"x" * 1024, 0.0)
        assert cloud.held_bytes <= MAX_FRAME_BYTES
    assert [event.payload for event in cloud.receive(b"x" * 1024, 0.0)] == [b"x" * (1 << 20)]  # type: ignore[union-attr]
    assert cloud.held_bytes == 0


def test_a_message_full_of_empty_segments_takes_no_memory_event_by_event() -> None:
    cloud = CloudSession(HASH, frozenset())
    device = DeviceSession(HASH)
    device.start()
    message = device.bytes_to_send()
    for number in range(10):
        device.announce_image(number, "klt", b"")
        for _ in range(4096):
            device.send_segment(number, b"")
        device.forget_image(number)
        message += device.bytes_to_send()
    tracemalloc.start()
    try:
        events = sum(1 for _ in cloud.events_of(message, 0.0))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert events == 1 + 10 * 4098
    assert peak_bytes < 1 << 19  # as a list they take ten times as much


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _sized(body: bytes) -> bytes:
    return _varint(len(body)) + body
