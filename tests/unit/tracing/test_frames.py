"""Frames as events: both ends say the same of a frame, and no secret is among it."""

import pytest

from heliograph.boxes import WireBox
from heliograph.errors import UnauthorizedError
from heliograph.protocol import frames as wire
from heliograph.protocol.frames import AnswerFlag, HeldImage
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.question import Question
from heliograph.tracing.frames import FrameRecorder
from heliograph.tracing.table import EVENTS, FIELDS, FRAMES

ACCESS_TOKEN, SESSION_TOKEN = "an-access-token", b"a session token!"
KEY, NONCE = b"k" * 32, b"a nonce!"
SECRETS = (ACCESS_TOKEN.encode(), SESSION_TOKEN, KEY, NONCE)


class Ends:
    """Two sessions with a recorder each."""

    def __init__(self, key=b"", session_token=b"", recall=lambda token: None, tokens=frozenset({ACCESS_TOKEN})):
        self.device = DeviceSession(
            b"8 bytes!",
            ACCESS_TOKEN,
            resumable=True,
            session_token=session_token,
            key=key,
            nonce=NONCE if key else b"",
        )
        self.cloud = CloudSession(
            b"8 bytes!",
            tokens,
            "a model",
            session_token=SESSION_TOKEN,
            recall=recall,
            keys=(key,) if key else (),
        )
        self.events = {"device": [], "cloud": []}
        for name, end in (("device", self.device), ("cloud", self.cloud)):
            sink = self.events[name]
            recorder = FrameRecorder(
                lambda event, data, sink=sink: sink.append((event, data)), 1, authenticated=bool(key)
            )
            recorder.on_connection(1)
            end.on_frame = recorder.on_frame

    def carry(self):
        for sending, receiving in ((self.device, self.cloud), (self.cloud, self.device)):
            if data := sending.bytes_to_send():
                receiving.receive(data, 0.0)

    def whole_exchange(self):
        self.device.start()
        asked = Question("what? ünlikely", "push", 200, byte_budget=40, answer_within_s=0.25)
        self.device.ask(0, 0, asked)
        self.device.announce_image(0, "klt", b"head", 3)
        self.device.send_segment(0, b"one")
        self.device.seal()
        self.carry()
        self.cloud.send_draft(0, "a räther long draft", 0.5, 1)
        self.cloud.send_more(0, 2)
        self.carry()
        self.device.send_segment(0, b"t" * 200)
        self.cloud.send_draft(0, "a räther long final", 0.75, 2)
        self.cloud.send_region(0, WireBox(1, 2, 3, 4))
        self.carry()
        self.device.send_crop(0, None)
        self.device.send_segment(0, b"three")
        self.device.finish_image(0)
        self.cloud.send_enough(0)
        self.carry()
        self.cloud.send_final(0, "a räther long final answer", 1.0, 3, AnswerFlag.REGION_MISSED)
        self.device.ask(1, 0, Question("and?"))
        self.device.cancel(1)
        self.device.forget_image(0)
        self.carry()


@pytest.mark.parametrize("key", [b"", KEY])
def test_what_one_end_sent_is_what_the_other_received(key):
    ends = Ends(key)
    ends.whole_exchange()
    said = {
        (name, event): [data for what, data in ends.events[name] if what == event]
        for name in ("device", "cloud")
        for event in ("session:frame_sent", "session:frame_received")
    }
    assert said["device", "session:frame_sent"] == said["cloud", "session:frame_received"]
    assert said["cloud", "session:frame_sent"] == said["device", "session:frame_received"]
    names = [data["frame"] for _, data in ends.events["device"]]
    assert len(names) >= 18
    assert {"HELLO", "WELCOME", "QUESTION", "IMAGE", "SEGMENT", "IMAGE_END", "CROP", "FINAL", "FORGET"} <= set(names)


@pytest.mark.parametrize("key", [b"", KEY])
def test_no_token_key_or_nonce_is_in_an_event(key):
    ends = Ends(key)
    ends.whole_exchange()
    text = repr(ends.events).encode()
    for secret in SECRETS:
        assert secret not in text
        assert secret.hex().encode() not in text
    hello = next(data for _, data in ends.events["device"] if data["frame"] == "HELLO")
    assert hello["authenticated"] is bool(key)


def test_bytes_are_those_that_crossed_the_link():
    ends = Ends()
    crossed = 0
    device, cloud = ends.device.bytes_to_send, ends.cloud.bytes_to_send

    def counted(take):
        def taken():
            nonlocal crossed
            data = take()
            crossed += len(data)
            return data

        return taken

    ends.device.bytes_to_send, ends.cloud.bytes_to_send = counted(device), counted(cloud)
    ends.whole_exchange()
    sent = [data["bytes"] for end in ends.events.values() for event, data in end if event == "session:frame_sent"]
    assert sum(sent) == crossed


def test_texts_of_drafts_are_whole_though_only_differences_travel():
    ends = Ends()
    ends.whole_exchange()
    answers = [
        (data["frame"], data["text"], data["segments_used"])
        for event, data in ends.events["device"]
        if event == "session:frame_received" and data["frame"] in ("DRAFT", "FINAL")
    ]
    assert answers == [
        ("DRAFT", "a räther long draft", 1),
        ("DRAFT", "a räther long final", 2),
        ("FINAL", "a räther long final answer", 3),
    ]
    final = next(data for _, data in ends.events["device"] if data["frame"] == "FINAL")
    assert (final["confidence"], final["flags"]) == (1.0, ["region-missed"])


def test_segments_are_counted_and_belong_to_a_photo():
    ends = Ends()
    ends.whole_exchange()
    for events in ends.events.values():
        segments = [data for _, data in events if data["frame"] == "SEGMENT"]
        assert [(one["image_id"], one["index"], one["payload_bytes"]) for one in segments] == [
            (0, 0, 3),
            (0, 1, 200),
            (0, 2, 5),
        ]


def test_counting_goes_on_where_the_cloud_holds_a_photo():
    events = []
    recorder = FrameRecorder(lambda name, data: events.append(data), 1)
    recorder.on_frame(True, wire.ImageFrame(3, 1, b""))
    for payload in (b"a", b"b", b"c"):
        recorder.on_frame(True, wire.SegmentFrame(None, payload))
    recorder.on_connection(2)
    recorder.on_frame(False, wire.WelcomeFrame(b"", "m", held=(HeldImage(3, 1, False),)))
    recorder.on_frame(True, wire.SegmentFrame(None, b"b"))
    assert [one["index"] for one in events if one["frame"] == "SEGMENT"] == [0, 1, 2, 1]
    assert events[-1]["connection"] == 2
    assert events[-2]["held"] == [[3, 1, False]]


def test_errors_are_traced_as_names():
    ends = Ends(tokens=frozenset({"another"}))
    ends.device.start()
    ends.carry()
    said = [data for event, data in ends.events["device"] if event == "session:frame_received"]
    assert [(one["frame"], one["error"]) for one in said] == [("ERROR", UnauthorizedError.name)]


def test_numbers_that_stand_for_nothing_and_crowds_of_photos_do_no_harm():
    events = []
    recorder = FrameRecorder(lambda name, data: events.append(data), 1)
    recorder.on_frame(False, wire.QuestionFrame(0, 0, 14, 1, 1, True, b"\xff", wire.QuestionOptions(7, 0, 0, 200)))
    assert (events[0]["controller"], events[0]["judged_by"], events[0]["region"]) == ("#14", "#7", "#200")
    for number in range(2000):
        recorder.on_frame(False, wire.ImageFrame(number, 1, b""))
        recorder.on_frame(True, wire.AnswerFrame(number, 0, 0, 0, b"x", False))
    assert len(recorder._segments) <= 256
    assert len(recorder._drafts) <= 256


def test_every_frame_says_what_the_table_says():
    ends = Ends()
    ends.whole_exchange()
    common = EVENTS["session:frame_sent"].fields
    for _, data in (*ends.events["device"], *ends.events["cloud"]):
        assert set(data) <= {*common, *FRAMES[data["frame"]]}, data["frame"]
        for name in data:
            assert name in FIELDS


def test_the_table_knows_every_frame_and_no_field_twice_or_unused():
    assert set(FRAMES) == {kind.name for kind in wire.FrameType}
    used = {name for fields in FRAMES.values() for name in fields}
    used |= {name for event in EVENTS.values() for name in event.fields}
    assert used == set(FIELDS)
