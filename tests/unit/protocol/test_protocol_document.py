"""``docs/protocol.md`` says what the code does: errors, frames, states, numbers and the exchange."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from heliograph import errors
from heliograph.codec.calibration import CONFIDENCES
from heliograph.controllers.pull import chunk_segments
from heliograph.protocol import events as ev
from heliograph.protocol import limits as lm
from heliograph.protocol import wire_ids
from heliograph.protocol.authentication import MAX_KEY_BYTES, MIN_KEY_BYTES
from heliograph.protocol.codes import bytes_of_code, milliseconds_of_code
from heliograph.protocol.frames import FrameType
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.protocol.states import CLOUD_RECEIVES, CLOUD_SENDS, DEVICE_RECEIVES, DEVICE_SENDS, State, Table
from heliograph.registry import CONTROLLERS, REGION_POLICIES, STRATEGIES
from heliograph.serving.limits import Limits

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"
HASH = bytes(range(8))


def table(title: str) -> list[list[str]]:
    section = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_error_numbers() -> None:
    assert table("Errors") == [[str(n), error.name, error.text] for n, error in errors.all_errors().items()]


def test_frame_types() -> None:
    assert [(int(row[0]), row[1]) for row in table("Frames")] == [(type_.value, type_.name) for type_ in FrameType]


def test_state_table() -> None:
    written: dict[tuple[str, str], Table] = {}
    for end, does, states, frames, following in table("States"):
        for state in states.split(", "):
            for frame in frames.split(", "):
                after = State(state if following == "same" else following)
                written.setdefault((end, does), {})[State(state), FrameType[frame]] = after
    assert written == {
        ("device", "sends"): DEVICE_SENDS,
        ("device", "receives"): DEVICE_RECEIVES,
        ("cloud", "receives"): CLOUD_RECEIVES,
        ("cloud", "sends"): CLOUD_SENDS,
    }


PINNED = {
    "strategy": {
        "klt": 1,
        "jpeg": 2,
        "webp": 3,
        "avif": 4,
        "rgb": 5,
        "int8": 6,
        "downsample": 7,
        "random-drop": 8,
        "local": 9,
        "meta": 10,
        "int4": 11,
        "pq": 12,
        "jpeg-bare": 13,
        "webp-bare": 14,
        "avif-bare": 15,
        "dynamicvit": 16,
        "visionzip": 17,
        "divprune": 18,
        "tome": 19,
        "dfmr": 20,
        "latent-neck": 21,
        "tokens-1d": 22,
        "question-coded": 23,
        "jpeg-dct": 24,
        "feature-adapt": 25,
        "caption": 26,
        "read": 27,
        "side-info": 28,
        "entropic-student": 29,
        "frankensplit": 30,
        "split-k": 31,
        "roi-jpeg": 32,
        "roi-webp": 33,
        "roi-avif": 34,
        "prefilter": 35,
        "cotam": 36,
        "nnc": 37,
        "klt-nnc": 38,
        "feature-video": 39,
    },
    "controller": {"fixed": 0, "energy": 1, "push": 2, "pull": 3, "level": 4},
    "confidence": {"combined": 0, "min-entropy": 1, "entropy": 2, "margin": 3, "error-head": 4, "stability": 5},
    "region policy": {"never": 0, "always": 1, "random": 2, "threshold": 3, "calibrated": 4, "random-box": 5},
}
"""Written down by hand, once and for all: files and devices of every version hold these numbers."""

IDS = {
    ids.kind: ids
    for ids in (
        wire_ids.STRATEGY_WIRE_IDS,
        wire_ids.CONTROLLER_WIRE_IDS,
        wire_ids.CONFIDENCE_WIRE_IDS,
        wire_ids.REGION_WIRE_IDS,
    )
}
REGISTERED = {
    "strategy": STRATEGIES.names(),
    "controller": CONTROLLERS.names(),
    "confidence": CONFIDENCES,
    "region policy": REGION_POLICIES.names(),
}


@pytest.mark.parametrize("kind", PINNED)
def test_pinned_numbers(kind: str) -> None:
    ids, numbers = IDS[kind], PINNED[kind]
    assert {name: ids.of(name) for name in ids.names()} == numbers
    assert {name: ids.name_of(number) for name, number in numbers.items()} == {name: name for name in numbers}
    assert set(REGISTERED[kind]) <= set(numbers)
    text = DOCUMENT.read_text(encoding="utf-8").split(f"*{kind}*: ")[1]
    written = text.split("(" if kind == "strategy" else ".")[0]
    assert {name: int(n) for n, name in re.findall(r"(\d+)\s+`([\w-]+)`", written)} == numbers


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"),
    [("strategy", 1, 127), ("controller", 0, 15), ("confidence", 0, 7), ("region policy", 0, 255)],
)
def test_numbers_fit_their_field(kind: str, lowest: int, highest: int) -> None:
    ids = IDS[kind]
    assert (ids.numbers[0], ids.numbers[-1]) == (lowest, highest)
    assert set(PINNED[kind].values()) <= set(ids.numbers)
    for unknown in (lambda: ids.name_of(highest), lambda: ids.of("magic")):
        with pytest.raises(errors.UnknownNameError) as told:
            unknown()
        assert told.value.choices == tuple(PINNED[kind])


def exchange_bytes(end: str) -> bytes:
    rows = table("An exchange, byte by byte")
    return b"".join(bytes.fromhex(row[1].strip("`")) for row in rows if row[0] == end)


def spoken() -> tuple[bytes, bytes]:
    """The documented exchange, said by the two sessions: what the device and the cloud sent."""
    device, cloud = DeviceSession(HASH, "key"), CloudSession(HASH, frozenset({"key"}), "reference")
    sent = {device: b"", cloud: b""}

    def say(speaker: DeviceSession | CloudSession, hearer: DeviceSession | CloudSession) -> None:
        data = speaker.bytes_to_send()
        sent[speaker] += data
        hearer.receive(data, 0.0)

    device.start()
    device.ask(0, 0, "what?")
    device.announce_image(0, "klt", b"\xaa\xbb")
    device.send_segment(0, b"\x01\x02\x03")
    device.send_segment(0, b"\x04\x05")
    say(device, cloud)
    cloud.send_draft(0, "red", 0.5, 2)
    say(cloud, device)
    device.send_segment(0, b"\x06\x07")
    say(device, cloud)
    cloud.send_draft(0, "red ball", 0.75, 3)
    cloud.send_enough(0)
    device.send_segment(0, b"\x08")
    say(cloud, device)
    say(device, cloud)
    cloud.send_final(0, "red ball", 0.9, 3)
    say(cloud, device)
    device.ask(1, 0, "why?")
    say(device, cloud)
    cloud.send_error(errors.AnsweringFailedError(), 1)
    say(cloud, device)
    return sent[device], sent[cloud]


def test_the_exchange_is_what_the_sessions_say() -> None:
    assert spoken() == (exchange_bytes("device"), exchange_bytes("cloud"))


def test_the_exchange_is_understood() -> None:
    cloud = CloudSession(HASH, frozenset({"key"}))
    heard = cloud.receive(exchange_bytes("device"), 0.0)
    assert [type(event) for event in heard] == [
        ev.HelloReceived,
        ev.QuestionAsked,
        ev.ImageAnnounced,
        *[ev.SegmentReceived] * 4,
        ev.QuestionAsked,
    ]


def test_the_authenticated_exchange_is_what_the_sessions_say() -> None:
    key, nonce = bytes(range(32)), bytes(range(0xA0, 0xA8))
    device = DeviceSession(HASH, "key", key=key, nonce=nonce)
    cloud = CloudSession(HASH, frozenset({"key"}), "reference", keys=[key])
    sent = {device: b"", cloud: b""}

    def say(speaker: DeviceSession | CloudSession, hearer: DeviceSession | CloudSession) -> None:
        data = speaker.bytes_to_send()
        sent[speaker] += data
        hearer.receive(data, 0.0)

    device.start()
    device.ask(0, 0, "what?")
    device.announce_image(0, "klt", b"\xaa\xbb")
    device.send_segment(0, b"\x01\x02\x03")
    device.seal()
    say(device, cloud)
    cloud.send_draft(0, "red", 0.5, 1)
    say(cloud, device)
    device.send_segment(0, b"\x04\x05")
    device.finish_image(0)
    say(device, cloud)
    cloud.send_final(0, "red ball", 0.75, 2)
    say(cloud, device)
    device.ask(1, 0, "why?")
    say(device, cloud)
    cloud.send_error(errors.AnsweringFailedError(), 1)
    say(cloud, device)
    rows = table("An authenticated exchange, byte by byte")
    for end, said in (("device", sent[device]), ("cloud", sent[cloud])):
        assert said == b"".join(bytes.fromhex(row[1].strip("`")) for row in rows if row[0] == end)


def test_time_limits_are_the_server_s() -> None:
    limits = Limits()
    assert [float(row[1]) for row in table("Time limits")] == [
        limits.request_timeout_s,
        limits.hello_timeout_s,
        limits.idle_timeout_s,
        limits.send_timeout_s,
        limits.question_timeout_s,
        limits.region_timeout_s,
        limits.keep_s,
        3,
    ]


def test_bounds_are_the_protocol_s() -> None:
    bounds = {row[0]: row[1] for row in table("Bounds")}
    assert bounds["question"].startswith(f"{lm.MAX_QUESTION_CHARACTERS} ")
    assert bounds["answer"] == f"{lm.MAX_ANSWER_CHARACTERS} characters"
    assert bounds["photo header"] == f"{lm.MAX_IMAGE_HEADER_BYTES} bytes"
    assert bounds["payload of a photo, header included"] == (
        f"{lm.MAX_IMAGE_PAYLOAD_BYTES >> 20} MiB, {lm.MAX_SEGMENTS_PER_IMAGE} segments"
    )
    assert bounds["photos held, questions open"] == f"{lm.MAX_IMAGES}, {lm.MAX_OPEN_QUESTIONS}"
    assert bounds["frames that wait for their seal"] == (
        f"{lm.MAX_UNSEALED_FRAMES:,}, and {lm.MAX_UNSEALED_BYTES:,} bytes"
    )
    assert bounds["key"] == f"{MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes"
    assert f"{lm.MAX_MESSAGE_BYTES:,} bytes" in DOCUMENT.read_text(encoding="utf-8")


def test_every_strategy_has_its_row() -> None:
    assert {row[0].strip("`") for row in table("Strategies")} == set(PINNED["strategy"])


@pytest.mark.parametrize("code", [1, 2, 12, 13, 100, 254, 255])
def test_codes_stand_for_what_the_document_says(code: int) -> None:
    for value in (bytes_of_code(code), milliseconds_of_code(code)):
        assert value is not None
        assert value**12 <= 2 ** (code - 1) < (value + 1) ** 12
    assert bytes_of_code(0) is milliseconds_of_code(0) is None  # no bound


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5, 8, 9, 4096])
def test_a_quarter_is_rounded_up(total: int) -> None:
    assert chunk_segments(total) == max(1, math.ceil(total / 4))
