"""Random and mutated frames: no traceback, and memory stays bounded."""

from __future__ import annotations

import random
import tracemalloc

from heliograph.bench.hardening.fuzz_cases import (
    ACCESS_TOKEN,
    BUNDLE_HASH,
    asking_device,
    cloud_speech,
    device_speech,
    mutated,
    one_photo,
)
from heliograph.bench.hardening.fuzz_targets import heard
from heliograph.protocol.limits import MAX_FRAME_BYTES, MAX_IMAGES, MAX_OPEN_QUESTIONS
from heliograph.protocol.session import CloudSession, DeviceSession

CASES_PER_END = 10_000  # the suite "hardening" tries a million
HASH = BUNDLE_HASH


def test_random_and_mutated_streams() -> None:
    source = random.Random(20_260_101)
    from_device, from_cloud = device_speech(), cloud_speech()
    closed = 0
    for _ in range(CASES_PER_END):
        cloud = CloudSession(HASH, frozenset({ACCESS_TOKEN}), recall=one_photo)
        closed += heard(cloud, mutated(source, from_device)) is not None
        closed += heard(asking_device(), mutated(source, from_cloud)) is not None
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
        for _ in range(800):
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
