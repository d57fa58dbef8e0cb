"""A cloud's trace on made-up time: decisions with their numbers, and what goes for want of time or room."""

import asyncio
from dataclasses import replace

from heliograph.codec.calibration import Calibration, Curve
from heliograph.errors import TooManyError
from heliograph.protocol.events import FinalReceived, SessionClosed, WelcomeReceived
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.tracing import CloudTrace
from heliograph.tracing.frames import FrameRecorder
from heliograph.tracing.table import EVENTS, FRAMES


class Traced:
    """What a server shares with a trace, and the events so far."""

    def __init__(self, shared, calibration=None):
        self.events = []
        trace = CloudTrace(lambda name, data: self.events.append((name, dict(data))), calibration)
        self.shared = replace(shared, trace=trace)

    def said(self, name):
        return [data for event, data in self.events if event == name]


def ask(device, question, segments=1, finish=True):
    device.session.ask(0, 0, question)
    device.session.announce_image(0, "klt", b"")
    for _ in range(segments):
        device.session.send_segment(0, b"seg")
    if finish:
        device.session.finish_image(0)
    device.say()


def traced(fake, cloud, conversation, calibration=None, **limits):
    """Events of a conversation with one traced device."""

    async def whole():
        async with fake.serving(cloud, **limits) as shared:
            found = Traced(shared, calibration)
            await conversation(found)
            return found

    return fake.run(whole())


def test_a_question_is_told_from_decision_to_answer(fake, cloud):
    async def conversation(found):
        device = fake.Device(found.shared)
        ask(device, Question("what", "energy", 255), segments=2)
        await device.hear(FinalReceived)
        await device.gone()

    found = traced(fake, cloud, conversation)
    decided = found.said("controller:decided")[-1]
    assert (decided["controller"], decided["target"], decided["decision"]) == ("energy", 255, "enough")
    assert (decided["received_bytes"], decided["segments"], decided["image_finished"]) == (6, 2, True)
    ended = found.said("model:job_ended")[-1]
    assert (ended["purpose"], ended["text"], ended["segments"], ended["confidence"]) == (
        "final",
        "what seen at 2",
        2,
        0.5,
    )
    states = [(one["before"], one["state"]) for one in found.said("question:changed")]
    assert states == [
        ("waiting for photo", "streaming"),
        ("streaming", "answering"),
        ("answering", "done"),
    ]
    for name, data in found.events:
        assert "cloud" in EVENTS[name].written_by
        assert set(data) <= {*EVENTS[name].fields, *FRAMES.get(data.get("frame", ""), ())}, name


def test_the_chance_is_the_one_that_push_has_weighed(fake, cloud):
    """The chance is the error head's: 1 - k / 10 that another answer comes of k segments; 0.65 is asked for."""
    curve = Curve(("answer-differs",), (0.0,), (1.0,), (1.0,), 0.0)
    calibration = Calibration({"combined": curve, "error-head": curve}, {"combined": curve, "error-head": curve})
    calibrated = Cloud(cloud.model, cloud._codecs, cloud.bundle_hash, calibration)

    async def conversation(found):
        device = fake.Device(found.shared)
        ask(device, Question("what", "push", 166, confidence="error-head"), segments=7, finish=False)
        await device.hear(FinalReceived)
        await device.gone()

    found = traced(fake, calibrated, conversation, calibration)
    weighed = [one for one in found.said("controller:decided") if "chance" in one]
    assert weighed
    for one in weighed:
        assert one["arrived_differs"] == 1 - one["segments"] / 10
        assert (one["chance"] >= one["chance_wanted"]) is (one["decision"] == "enough")
    assert weighed[-1]["decision"] == "enough"


def test_photos_that_go_after_their_time_are_told(fake, cloud):
    async def conversation(found):
        device = fake.Device(found.shared)
        ask(device, Question("what"))
        await device.hear(FinalReceived)
        await asyncio.sleep(90)
        await device.gone()

    found = traced(fake, cloud, conversation, retain_s=60.0)
    assert [one["image_id"] for one in found.said("memory:photo_dropped")] == [0]


def test_a_session_for_which_there_is_no_room_is_told(fake, cloud):
    async def conversation(found):
        device = fake.Device(found.shared)
        device.say()
        await device.hear(WelcomeReceived)
        for image_id in range(8):
            device.session.announce_image(image_id, "klt", b"")
            device.session.send_segment(image_id, bytes(200_000))
            device.say()
            await asyncio.sleep(0.1)
        await device.hear(SessionClosed)

    found = traced(fake, cloud, conversation, max_held_bytes=1_000_000)
    assert [one["error"] for one in found.said("memory:session_evicted")] == [TooManyError.name]
    assert [one.get("error") for one in found.said("connection:closed")] == [TooManyError.name]


def test_without_a_trace_no_event_is_built(fake, cloud, monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("an event is built for nobody")

    for method in ("__init__", "on_frame"):
        monkeypatch.setattr(FrameRecorder, method, refuse)
    monkeypatch.setattr(CloudTrace, "connection", refuse)

    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            ask(device, Question("what"))
            final = await device.hear(FinalReceived)
            await device.gone()
            return final.text

    assert fake.run(whole()) == "what seen at 1"
