"""Questions answered side by side: who joins when, what they cost, who leaves, and that answers are the same."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from desk_talk import BOX
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.errors import AnsweringFailedError, StreamDamagedError
from heliograph.question import Question
from heliograph.reference.render import render_scene
from heliograph.serving import side_by_side
from heliograph.serving.cloud import Cloud
from heliograph.serving.jobs import AnswerJob, Purpose
from heliograph.serving.side_by_side import MAX_JOBS, SideBySide, worker_of
from heliograph.serving.worker import Assignment, OneByOne
from heliograph.types import Answer, EncodedImage
from heliograph.vlm.contract import EndedRequest, Verification

NO_NEWS, NEWS = (lambda: False), (lambda: True)


class Batch:
    """Every question costs 100 positions and takes as many steps as it may have tokens."""

    def __init__(self, capacity_tokens=800):
        self.capacity_tokens, self.rows, self.steps, self.widths, self.dropped = capacity_tokens, {}, 0, [], []
        self.broken, self.forgotten = False, 0

    @property
    def held_tokens(self):
        return 100 * len(self.rows)

    def cost(self, request):
        return 100

    def fits(self, request):
        return not self.rows or self.held_tokens + 100 <= self.capacity_tokens

    def admit(self, request):
        assert self.fits(request)
        self.rows[request] = request.max_new_tokens

    def drop(self, request):
        self.dropped.append(request)
        return self.rows.pop(request, None) is not None

    def forget(self):
        self.forgotten += 1

    def step(self):
        if self.broken:
            raise RuntimeError("a secret that must not travel")
        self.steps += 1
        self.widths.append(len(self.rows))
        for request in self.rows:
            self.rows[request] -= 1
        ended = [request for request, left in self.rows.items() if left <= 0]
        for request in ended:
            del self.rows[request]
        return [self._ended(request) for request in ended]

    def _ended(self, request):
        if request.question == "unanswerable":
            return EndedRequest(request, None, AnsweringFailedError())
        seen = " and ".join(f"{image.values[0, 0]:.0f}" for image in request.images)
        answer = Answer(f"{request.question} seen at {seen}", 0.5, 1.0, (7,))
        return EndedRequest(request, Verification(answer, 0 if request.draft is None else 1), None)


def assigned(text="what", steps=1, segments=(b"x",) * 3, purpose=Purpose.FINAL, **fields):
    encoded = EncodedImage("klt", b"", tuple(segments))
    question = Question(text, region="always", max_answer_tokens=steps)
    known = {"tokens": None, "draft": None, **fields}
    return Assignment(AnswerJob(0, 0, question, encoded, purpose=purpose, **known))


@pytest.fixture(autouse=True)
def time(monkeypatch):
    """Restoring takes no time, however busy the machine is."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(side_by_side, "now_s", lambda: clock.now)
    return clock


@pytest.fixture
def batch():
    return Batch()


@pytest.fixture
def worker(cloud, batch):
    return SideBySide(cloud, batch)


def started(worker, *assignments):
    for assignment in assignments:
        assert worker.has_room
        worker.start(assignment)
    return assignments


def ended(worker, news=NO_NEWS):
    return dict(worker.work(news))


# ---- joining and leaving ---------------------------------------------------------------------------------------
def test_answers_come_when_they_are_ready_and_take_their_steps_together(worker, batch):
    short, _, other = started(worker, assigned("short", 2), assigned("long", 5), assigned("other", 2))
    first = ended(worker)
    assert {one: outcome.answer.text for one, outcome in first.items()} == {
        short: "short seen at 3",
        other: "other seen at 3",
    }
    assert [outcome.answer.text for outcome in ended(worker).values()] == ["long seen at 3"]
    assert batch.widths == [3, 3, 1, 1, 1]
    assert ended(worker) == {}
    assert worker.has_room


def test_who_waits_to_be_started_is_let_in_at_the_next_step(worker, batch):
    started(worker, assigned("long", 9))
    assert ended(worker, NEWS) == {}
    assert batch.steps == 1
    started(worker, assigned("short", 1))
    assert [one.job.question.text for one in ended(worker)] == ["short"]
    assert batch.widths == [1, 2]


def test_what_does_not_fit_waits_and_nothing_overtakes_it(cloud):
    batch = Batch(250)
    worker = SideBySide(cloud, batch)
    first = started(worker, assigned("a", 3), assigned("b", 3), assigned("c", 1))  # of unknown size
    assert ended(worker, NEWS).keys() == set(first[:2])
    assert batch.widths == [2, 2, 2]
    assert not worker.has_room
    assert [one.job.question.text for one in ended(worker)] == ["c"]
    assert worker.has_room


def test_room_is_reckoned_by_what_questions_usually_cost(cloud):
    worker = SideBySide(cloud, Batch(350))
    started(worker, assigned("a", 9))
    assert ended(worker, NEWS) == {}
    started(worker, assigned("b", 9), assigned("c", 9))
    assert not worker.has_room


def test_no_more_jobs_are_held_than_a_bound(cloud):
    worker = SideBySide(cloud, Batch(10**6))
    started(worker, *(assigned(steps=9) for _ in range(MAX_JOBS)))
    assert not worker.has_room


def test_restoring_does_not_hold_up_those_who_have_begun(worker, batch, monkeypatch, time):
    def now_s():
        time.now += 0.03  # every restoring takes longer than may be spent on it between two steps
        return time.now

    started(worker, *(assigned(str(number), 9) for number in range(3)))
    monkeypatch.setattr(side_by_side, "now_s", now_s)
    ended(worker)
    assert batch.widths[:3] == [1, 2, 3]


# ---- what it costs ---------------------------------------------------------------------------------------------
def test_a_steps_time_is_shared_by_who_took_part(worker, time):
    whole = worker._batch.step

    def step():
        time.now += 6.0
        return whole()

    worker._batch.step = step
    short, long, other = started(worker, assigned("s", 1), assigned("l", 3), assigned("o", 1))
    outcomes = ended(worker) | ended(worker)
    assert {one: outcome.seconds for one, outcome in outcomes.items()} == {short: 2.0, other: 2.0, long: 14.0}
    assert sum(outcome.seconds for outcome in outcomes.values()) == time.now == 18.0
    assert (outcomes[short].elapsed_s, outcomes[long].elapsed_s) == (6.0, 18.0)


# ---- cancelled, failed, alone ------------------------------------------------------------------------------------
def test_what_is_cancelled_leaves_at_once_wherever_it_is(worker, batch):
    going, running, waiting = assigned("g", 3), assigned("r", 500), assigned("w", 500)
    started(worker, going, running)
    assert ended(worker, NEWS) == {}
    started(worker, waiting)
    running.cancelled = waiting.cancelled = True
    outcomes = ended(worker)
    assert {one: outcome.stopped for one, outcome in outcomes.items()} == {waiting: True, running: True}
    assert [request.question for request in batch.dropped] == ["r"]
    assert batch.held_tokens == 100
    assert [one.job.question.text for one in ended(worker)] == ["g"]


def test_one_that_fails_leaves_the_others(worker):
    damaged, unanswerable = assigned("d", segments=(b"damaged",)), assigned("unanswerable", 2)
    good, truncated = assigned("good", 3), assigned("t", segments=(), purpose=Purpose.DRAFT)
    started(worker, damaged, unanswerable, good, truncated)
    outcomes = {}
    while len(outcomes) < 4:
        outcomes |= ended(worker)
    assert isinstance(outcomes[damaged].error, StreamDamagedError)
    assert isinstance(outcomes[unanswerable].error, AnsweringFailedError)
    assert outcomes[good].answer.text == "good seen at 3"


def test_a_broken_batch_fails_who_is_in_it_by_name_and_goes_on(worker, batch):
    lost = started(worker, assigned("a", 3), assigned("b", 3))
    batch.broken = True
    outcomes = ended(worker)
    assert {type(outcomes[one].error) for one in lost} == {AnsweringFailedError}
    assert "secret" not in str([outcome.error for outcome in outcomes.values()])
    batch.broken = False
    (later,) = started(worker, assigned("later"))
    assert ended(worker)[later].answer.text == "later seen at 3"


def test_a_look_is_done_alone_between_two_steps(cloud, batch):
    finder = SimpleNamespace(find=lambda *given: None)
    worker = SideBySide(Cloud(cloud.model, cloud._codecs, cloud.bundle_hash, finder=finder), batch)
    look = assigned("l", purpose=Purpose.LOOK, draft=Answer("red", 0.5, 1.0, (7,)))
    worker._cloud.look = lambda job, tokens: BOX
    started(worker, look, assigned("q", 1))
    outcomes = ended(worker)
    assert outcomes[look].box == BOX
    assert batch.widths == [1]


def test_equal_prefixes_are_restored_once(worker, cloud, monkeypatch):
    restored = []
    decode = cloud._codecs["klt"].decode
    monkeypatch.setattr(cloud._codecs["klt"], "decode", lambda *given: restored.append(1) or decode(*given))
    started(worker, assigned("a", 2), assigned("b", 2), assigned("c", 2, segments=(b"y",) * 2))
    assert sorted(outcome.answer.text for outcome in ended(worker).values()) == [
        "a seen at 3",
        "b seen at 3",
        "c seen at 2",
    ]
    assert len(restored) == 2


def test_drafts_and_crops_go_with_the_question(worker):
    draft = Answer("red", 0.5, 1.0, (7,))
    crop = EncodedImage("klt", b"", (b"x",))
    checked = assigned("v", draft=draft, tokens=worker._cloud.restore(EncodedImage("klt", b"", (b"x",) * 3)))
    second = assigned("s", purpose=Purpose.SECOND, draft=draft, crop=crop)
    outcomes = {}
    started(worker, checked, second)
    while len(outcomes) < 2:
        outcomes |= ended(worker)
    assert (outcomes[checked].kept_tokens, outcomes[checked].tokens is not None) == (1, True)
    assert outcomes[second].answer.text == "s seen at 3 and 1"


# ---- which worker ------------------------------------------------------------------------------------------------
def test_a_model_that_cannot_is_asked_one_by_one(cloud):
    assert isinstance(worker_of(cloud, 100), OneByOne)  # it has no such method
    cloud.model.open_batch = lambda capacity: Batch(capacity)
    assert isinstance(worker_of(cloud, 100), SideBySide)
    assert isinstance(worker_of(cloud, 1), OneByOne)
    cloud.model.open_batch, cloud.model.one_at_a_time = (lambda capacity: None), "its processor is a stranger"
    assert isinstance(worker_of(cloud, 100), OneByOne)


def test_what_is_kept_of_questions_is_forgotten(worker, batch):
    worker.forget()
    assert batch.forgotten == 1


def test_side_by_side_gives_the_answers_of_one_by_one(shared_cloud, reference_pair):
    """On the shipped model and bundle: prefixes of several photos, with drafts that hold and drafts that do not."""
    device = Device(Bundle.from_pretrained(reference_pair.bundle))
    photos = [device.encode(render_scene(7_100_000 + number).image, "klt", {}) for number in range(2)]
    prefixes = [replace(photo, segments=photo.segments[:count]) for photo in photos for count in (4, 20)]
    texts = ("what colour is the circle?", "how many shapes are there?", "what is in the picture?")
    drafts = (None, Answer("red", 0.5, 1.0, (7, 8)))
    jobs = [
        AnswerJob(0, 0, Question(text), prefix, None, draft, Purpose.FINAL)
        for text in texts
        for prefix in prefixes
        for draft in drafts
    ]
    alone = [shared_cloud.run(job) for job in jobs]
    worker = worker_of(shared_cloud, 8192)
    assert isinstance(worker, SideBySide)
    assignments, outcomes = started(worker, *map(Assignment, jobs)), {}
    while len(outcomes) < len(jobs):
        outcomes |= ended(worker)
    together = [outcomes[one] for one in assignments]
    for told in ("text", "token_ids"):
        assert [getattr(one.answer, told) for one in together] == [getattr(one.answer, told) for one in alone]
    assert [one.kept_tokens for one in together] == [one.kept_tokens for one in alone]
    assert [one.answer.confidence for one in together] == pytest.approx(
        [one.answer.confidence for one in alone], abs=1e-4
    )
    assert [one.energy for one in together] == [one.energy for one in alone]
