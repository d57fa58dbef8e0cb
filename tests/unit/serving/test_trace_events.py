"""What a cloud's trace says of one session: which numbers, and what is left out where nobody knows it."""

import asyncio
from dataclasses import replace

import pytest

from desk_talk import BOX, Talk, calibration
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import Enough, More, Observation, Wait
from heliograph.controllers.confidence import Draft, signals_of
from heliograph.errors import AnsweringFailedError, ConnectionLostError, ServerBusyError, TooManyError
from heliograph.protocol.events import FinalReceived, WelcomeReceived
from heliograph.protocol.session import CloudSession
from heliograph.serving.jobs import Outcome
from heliograph.serving.tracing import CloudTrace
from heliograph.types import Answer


class Told:
    """A traced desk, and the events so far."""

    def __init__(self, known=None):
        self.events, self.talk = [], Talk()
        self._cloud = CloudTrace(lambda name, data: self.events.append((name, dict(data))), known)
        self.trace = self._cloud.connection(CloudSession(b"8 bytes!", frozenset()), self.talk.desk.book)

    def of(self, name):
        return [data for event, data in self.events if event == name]

    def decided(self, decision=None, seen=None, **wish):
        """What is told of a decision that a controller took on what it saw."""
        self.talk.scripted(0, 0, decision or Wait(), **wish)
        question = self.talk.desk.questions[0]
        self.talk.photo(segments=2, finish=False)
        if seen is not None:
            question._observation = lambda *arguments: seen
        self.talk.desk.decide(0, 3.0, 0.5)
        return self.of("controller:decided")[-1]


def signals(differs):
    return signals_of([Draft(Answer("red", 0.5, 1.0, (7,)), 4)], expectation=Expectation(0.1, differs))


# ---- decisions ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Wait(), {"decision": "wait"}),
        (More(3), {"decision": "more", "more": 3}),
        (Enough(), {"decision": "enough"}),
        (Enough(take_draft=True), {"decision": "enough", "take_draft": True}),
    ],
)
def test_a_decision_is_told_with_what_was_seen(decision, said):
    told = Told().decided(decision, target=7, confidence="combined")
    assert told == {
        "session": 1,
        "question_id": 0,
        "image_id": 0,
        "controller": "fixed",
        "target": 7,
        "judged_by": "combined",
        "received_bytes": 3,
        "segments": 2,
        "image_finished": False,
        "total_segments": 0,
        "asked_segments": 0,
        "elapsed_s": 3.0,
        "answer_s": 0.5,
        **said,
    }


def test_a_draft_is_told_with_the_signals_that_the_controller_saw():
    seen = Observation(9, 4, 0.75, draft_confidence=0.5, arrived=signals(0.125), draft=signals(0.25), draft_segments=3)
    told = Told().decided(seen=seen)
    assert (told["retained_energy"], told["confidence"], told["arrived_differs"]) == (0.75, 0.5, 0.125)
    assert (told["answer_differs"], told["stable_drafts"], told["draft_segments"]) == (0.25, 1, 3)
    assert "chance" not in told  # ``fixed`` weighs none


@pytest.mark.parametrize(
    ("controller", "confidence", "differs"),
    [("push", "combined", 0.25), ("push", "error-head", 0.125), ("pull", "combined", 0.125)],
)
def test_the_chance_is_of_the_draft_or_of_all_that_has_arrived(controller, confidence, differs):
    """The made-up calibration goes by the error head alone; it is held against the target's share of 255."""
    seen = Observation(9, 4, arrived=signals(0.125), draft=signals(0.25))
    told = Told(calibration()).decided(seen=seen, controller=controller, target=51, confidence=confidence)
    assert told["chance"] == pytest.approx(1 - differs)
    assert told["chance_wanted"] == pytest.approx(0.2)  # 51 of 255


@pytest.mark.parametrize(
    ("known", "seen", "wish"),
    [
        (None, Observation(9, 4, draft=signals(0.25)), {"controller": "push"}),
        (calibration(), Observation(9, 4, draft=signals(0.25)), {"controller": "energy"}),
        (calibration(), Observation(9, 4), {"controller": "push"}),
        (calibration(), Observation(9, 4, draft=signals(0.25)), {"controller": "push", "confidence": "unheard of"}),
    ],
)
def test_no_chance_is_told_where_none_was_weighed(known, seen, wish):
    assert not {"chance", "chance_wanted"} & set(Told(known).decided(seen=seen, target=51, **wish))


def test_a_question_that_stays_where_it_is_has_not_changed():
    told = Told()
    told.decided(Wait())
    assert [(one["before"], one["state"]) for one in told.of("question:changed")] == [
        ("waiting for photo", "streaming")
    ]


# ---- the model ---------------------------------------------------------------------------------------------
def test_a_piece_of_work_is_told_when_it_begins_and_when_it_ends():
    told = Told()
    told.talk.ask()
    told.talk.photo(segments=3, finish=False)
    job = told.talk.job()
    told.trace.job_started(job)
    about = {"session": 1, "question_id": 0, "image_id": 0, "purpose": "draft", "segments": 3}
    assert told.of("model:job_started") == [about | {"payload_bytes": 4}]
    told.trace.job_ended(job, Outcome(seconds=0.25))
    answer = Answer("red", 0.5, 1.25, (7, 8), entropy_bits=2.5, margin=0.125)
    whole = Outcome(answer, None, None, 1, 0.5, Expectation(0.1, 0.375), 0.75)
    told.trace.job_ended(job, whole)
    told.trace.job_ended(job, Outcome(error=AnsweringFailedError(), box=BOX))
    nothing, everything, failed = told.of("model:job_ended")
    assert nothing == about | {"ms": 250.0}
    assert everything == about | {
        "ms": 500.0,
        "text": "red",
        "confidence": 0.5,
        "min_entropy_bits": 1.25,
        "entropy_bits": 2.5,
        "margin": 0.125,
        "token_ids": (7, 8),
        "kept_tokens": 1,
        "answer_differs": 0.375,
        "retained_energy": 0.75,
    }
    assert failed == about | {"ms": 0.0, "box": BOX, "error": AnsweringFailedError.name}


@pytest.mark.parametrize(("budget", "left"), [(None, {}), (4000, {"budget_bytes": 3996})])
def test_a_look_is_told_with_its_price(budget, left):
    told = Told()
    look = told.talk.first_answer(byte_budget=budget)
    told.trace.job_started(look)
    (said,) = told.of("model:job_started")
    price = {name: said[name] for name in ("region", "rate_bit_s", "region_bytes", "looks", "most_looks")}
    assert price == {"region": "always", "rate_bit_s": 0.0, "region_bytes": 1500, "looks": 0, "most_looks": 32}
    assert {name: said[name] for name in said if name == "budget_bytes"} == left


# ---- connections -------------------------------------------------------------------------------------------
def test_a_session_keeps_its_number_over_its_connections(fake, cloud):
    """Three connections: two of one session, whose number the second takes up, and one of another."""

    async def whole():
        events = []
        async with fake.serving(cloud) as plain:
            shared = replace(plain, trace=CloudTrace(lambda name, data: events.append((name, dict(data)))))
            first = fake.Device(shared, resumable=True)
            first.session.announce_image(0, "klt", b"")
            first.session.send_segment(0, b"x")
            first.say()
            token = (await first.hear(WelcomeReceived)).session_token
            await first.gone()
            again = fake.Device(shared, session_token=token)
            again.say()
            await again.hear(WelcomeReceived)
            again.session.hold_image(0, 1, 1, finished=False)
            again.session.ask(0, 0, "what")
            again.session.finish_image(0)
            again.say()
            await again.hear(FinalReceived)
            again.connection.shed()
            await again.gone(1000)
            await fake.Device(shared).gone(1000)
        return events

    events = fake.run(whole())
    ends = [
        (name, data["connection"], data["session"], data.get("error"))
        for name, data in events
        if name.startswith("connection:")
    ]
    lost = ConnectionLostError.name
    assert ends == [
        ("connection:opened", 1, 1, None),
        ("connection:closed", 1, 1, lost),
        ("connection:opened", 2, 2, None),
        ("connection:closed", 2, 1, None),
        ("connection:opened", 3, 3, None),
        ("connection:closed", 3, 3, ends[-1][3]),
    ]
    assert {data["session"] for name, data in events if name.startswith(("question:", "model:", "memory:"))} == {1}
    assert [name for name, _ in events].count("memory:tokens_dropped") == 1
    assert [name for name, _ in events if name.startswith("model:")] == ["model:job_started", "model:job_ended"]


def test_a_device_that_takes_nothing_more_is_told_as_lost(fake, cloud):
    async def whole():
        events = []
        async with fake.serving(cloud, send_timeout_s=30.0) as plain:
            shared = replace(plain, trace=CloudTrace(lambda name, data: events.append((name, dict(data)))))
            device = fake.Device(shared)
            device.line.reads.clear()
            device.say()
            await device.served
        return [data["error"] for name, data in events if name == "connection:closed"]

    assert fake.run(whole()) == [ConnectionLostError.name]


@pytest.mark.parametrize(("held", "error"), [(50_000, ServerBusyError), (50_001, TooManyError)])
def test_an_eviction_is_told_with_what_the_device_hears(fake, cloud, held, error):
    async def whole():
        events = []
        async with fake.serving(cloud, max_held_bytes=100_000) as plain:
            shared = replace(plain, trace=CloudTrace(lambda name, data: events.append((name, dict(data)))))
            device = fake.Device(shared)
            device.say()
            await device.hear(WelcomeReceived)
            device.connection.account.set(held)
            device.connection.evict()
            await asyncio.wait_for(device.served, 60)
        return [(name, data["error"]) for name, data in events if data.get("error")]

    said = fake.run(whole())
    assert ("memory:session_evicted", error.name) in said
    assert ("connection:closed", error.name) in said
