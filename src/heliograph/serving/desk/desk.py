"""The open questions and held photos of one session: what becomes of them, and when there is enough. No I/O, no clock.

::

    what the device did --┐                        ┌--> steps: what the device hears (whoever has the session)
    what the model did ---┼--> Desk --event---> table
    what time it is ------┘                        └--> watchlist: photos to measure and decide about (the observer)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from heliograph.codec.calibration import Calibration
from heliograph.controllers.base import Enough, More
from heliograph.controllers.bounds import controller_for
from heliograph.controllers.region import MAX_LOOKS
from heliograph.controllers.region.policies import Price
from heliograph.errors import HeliographError, TimedOutError, TooManyRegionsError
from heliograph.protocol.events import CropAnnounced, ImageAnnounced, QuestionAsked, SegmentReceived
from heliograph.question import ALWAYS
from heliograph.serving.desk.book import QuestionBook
from heliograph.serving.desk.next_job import Waiting, draft_due_s, job_of, most_urgent, uplink_bit_s, waiting_of
from heliograph.serving.desk.photo import Photo
from heliograph.serving.desk.question import OpenQuestion, reads_of
from heliograph.serving.desk.states import QuestionEvent
from heliograph.serving.fair.load import Shed
from heliograph.serving.fair.urgency import Urgency
from heliograph.serving.jobs import AnswerJob, Outcome, Purpose
from heliograph.serving.measuring import Measured, Measuring, wanted_of

REGION_TIMEOUT_S = 20.0

_USUAL_REGION_BYTES = 1500

log = logging.getLogger("heliograph.serving")


@dataclass(frozen=True)
class Verdict:
    """What the controllers of one photo's questions say together.

    Attributes:
        enough: somebody asks about it, and no question needs more.
        more: further segments to ask the device for; 0 for none.
        waits: a question needs more than the device may have heard.
    """

    enough: bool
    more: int = 0
    waits: bool = False


class Desk:
    """One session's questions and photos, on a clock that is somebody else's.

    A job that :meth:`next_job` begins ends with :meth:`deliver` or :meth:`withdraw`; of one question there is one at a
    time.

    Args:
        calibration: that controllers read; None where the cloud holds none.
        max_regions: crops that one session may cause.
        region_timeout_s: longest wait for a crop and the answer from it.

    Attributes:
        photos: by id.
        book: of the questions.
        working: jobs that were begun and have not ended, by question.
        drafting: whether drafts are made for this session now.
    """

    def __init__(
        self,
        calibration: Calibration | None = None,
        max_regions: int = MAX_LOOKS,
        region_timeout_s: float = REGION_TIMEOUT_S,
    ) -> None:
        self.photos: dict[int, Photo] = {}
        self.book = QuestionBook()
        self.working: dict[int, AnswerJob] = {}
        self.drafting = True
        self._calibration, self._region_timeout_s = calibration, region_timeout_s
        self._max_regions = self._regions_left = max_regions
        self._region_bytes = _USUAL_REGION_BYTES

    @property
    def questions(self) -> dict[int, OpenQuestion]:
        """Open ones by id."""
        return self.book.open

    # ---- what is held ------------------------------------------------------------------------------
    @property
    def held_bytes(self) -> int:
        """Memory of all photos and questions held."""
        return self.book.held_bytes + sum(photo.held_bytes for photo in self.photos.values())

    @property
    def worth_keeping(self) -> bool:
        """Whether going on with this session would save the device anything."""
        return any(len(photo) for photo in self.photos.values())

    @property
    def has_pending_answer(self) -> bool:
        """Whether it is the device that waits."""
        return any(question.decided for question in self.questions.values())

    def drop_tokens(self) -> None:
        """Give the memory of restored tokens back."""
        for photo in self.photos.values():
            photo.drop_tokens()

    def unused(self, before_s: float) -> list[int]:
        """Photos that nobody has sent, asked about or answered from since then, and without an open question."""
        wanted = {q.asked.image_id for q in self.questions.values()} | {q.crop_id for q in self.questions.values()}
        return [n for n, photo in self.photos.items() if photo.used_s <= before_s and n not in wanted]

    # ---- what the device did -----------------------------------------------------------------------
    def ask(self, asked: QuestionAsked, now: float, answer_s: float = 0.0) -> None:
        """Take a question.

        Args:
            asked: as it came.
            now: seconds.
            answer_s: what an answer usually takes: so long before its time the controller is asked again.

        Raises:
            UnknownNameError: there is no such controller.
            TooManyRegionsError: it wants a region in any case, and the session has had all it may.
        """
        wanted = asked.question
        if wanted.region == ALWAYS and self._regions_left <= 0:
            raise TooManyRegionsError
        controller = controller_for(wanted, self._calibration)
        question = OpenQuestion(asked, controller, *reads_of(controller), now)
        if wanted.answer_within_s is not None:
            question.limits_s[QuestionEvent.ANSWER_DUE] = max(question.wanted_s - answer_s, now)
        self.book.resume(question)
        self.questions[asked.question_id] = question
        if asked.image_id in self.photos:
            self.photos[asked.image_id].used_s = now
            self.book.apply(question, QuestionEvent.PHOTO_ANNOUNCED)

    def announce(self, announced: ImageAnnounced, now: float = 0.0) -> None:
        """Begin a photo."""
        self.photos[announced.image_id] = Photo(announced.strategy, announced.header, announced.total_segments, now)
        for question in self.book.about(announced.image_id):
            self.book.apply(question, QuestionEvent.PHOTO_ANNOUNCED)

    def add_segment(self, received: SegmentReceived, now: float) -> None:
        """Take a segment of a held photo."""
        self.photos[received.image_id].add(received.payload, now)
        self.book.watchlist.add(received.image_id)

    def finish(self, image_id: int) -> None:
        """Note that nothing more follows of a held photo."""
        self.photos[image_id].finished = True
        self.book.watchlist.add(image_id)
        for question in self.book.looking_at(image_id):
            self.book.apply(question, QuestionEvent.CROP_COMPLETE)

    def take_crop(self, announced: CropAnnounced) -> None:
        """The device has answered a region: with a photo, or not at all."""
        question = self.questions.get(announced.question_id)
        if question is None:
            return
        if announced.image_id is None:
            self.book.apply(question, QuestionEvent.REGION_LOST)
        elif self.book.apply(question, QuestionEvent.CROP_ANNOUNCED, crop_id=announced.image_id):
            question.crop_id = announced.image_id
            crop = self._crop(question)
            if crop is not None and crop.finished:
                self.book.apply(question, QuestionEvent.CROP_COMPLETE)

    def cancel(self, question_id: int) -> None:
        """The device wants no answer to a question any more."""
        self.book.apply_to(question_id, QuestionEvent.CANCELLED)

    def forget(self, image_id: int) -> None:
        """Drop a photo with its questions (the session has told the device)."""
        for question in self.book.about(image_id):
            self.book.apply(question, QuestionEvent.PHOTO_GONE)
        for question in self.book.looking_at(image_id):
            self.book.apply(question, QuestionEvent.REGION_LOST)
        self.book.forget_interrupted_about(image_id)
        self.photos.pop(image_id, None)
        self.book.watchlist.discard(image_id)

    def interrupt(self, now: float = 0.0) -> None:
        """The connection broke: questions will be asked anew, and what is known of their answers is kept for that."""
        self.book.interrupt(now)
        self.working = {}

    def end_overdue(self, before_s: float) -> None:
        """Answer questions from what there is, or fail them, where nothing has come of their photo since then."""
        for question in list(self.questions.values()):
            photo = self.photos.get(question.asked.image_id)
            last_s = question.asked_s if photo is None else max(question.asked_s, photo.news_s)
            if question.decided or last_s > before_s:
                continue
            if photo is not None and len(photo):
                self.book.apply(question, QuestionEvent.OVERDUE)
            else:
                self.book.apply(question, QuestionEvent.NOTHING_CAME, error=TimedOutError())

    # ---- what the controllers say ------------------------------------------------------------------
    def to_measure(self, image_id: int) -> Measuring | None:
        """What is wanted of a photo's newest prefix, those first who have waited longest; None where nobody waits."""
        photo = self.photos.get(image_id)
        if photo is None or photo.finished:
            return None
        return wanted_of(photo, self.book.undecided(image_id), self.drafting)

    def note_measured(self, measured: Measuring, made: Measured) -> None:
        """What has come of it."""
        if made.energy is not None:
            measured.photo.energy = made.energy
        if made.agreement is not None:
            measured.photo.agreement = made.agreement
        for question_id, question in measured.questions.items():
            question.expectation = made.expectations.get(question_id)
            question.measured_segments = measured.segments

    def fail_measuring(self, image_id: int, error: HeliographError) -> None:
        """What has arrived of a photo cannot be measured."""
        for question in self.book.undecided(image_id):
            self.book.apply(question, QuestionEvent.MEASURING_FAILED, error=error)

    def stop_deciding(self, question: OpenQuestion) -> None:
        """What decides has failed: the answer that is there is kept, and the final one says so."""
        if self.book.apply(question, QuestionEvent.DECIDING_FAILED):
            question.take_draft = question.draft is not None

    def decide(self, image_id: int, now: float = 0.0, answer_s: float = 0.0) -> Verdict:
        """Ask every controller of a held photo.

        Args:
            image_id: of the photo.
            now: seconds.
            answer_s: what an answer usually takes.
        """
        photo, more = self.photos[image_id], 0
        for question in self.book.undecided(image_id):
            decided = question.decide(photo, now, answer_s, self.drafting)
            if decided is None:
                self.stop_deciding(question)
                continue
            observation, decision = decided
            facts = {"observation": observation, "decision": decision}
            if isinstance(decision, Enough):
                question.take_draft = decision.take_draft
                self.book.apply(question, QuestionEvent.ENOUGH, **facts)
            elif isinstance(decision, More):
                question.asked_segments = len(photo) + decision.segments
                more = max(more, decision.segments)
                self.book.apply(question, QuestionEvent.MORE, **facts)
            else:
                self.book.apply(question, QuestionEvent.WAIT, **facts)
                question.plan_answer(now, answer_s)
        waits = bool(self.book.undecided(image_id))
        return Verdict(not waits and bool(self.book.about(image_id)), more, waits)

    # ---- what the model does -----------------------------------------------------------------------
    def settle(self) -> None:
        """Make final what nothing can change any more."""
        for question in list(self.questions.values()):
            photo = self.photos.get(question.asked.image_id)
            if photo is not None and not question.wants_look and question.has_first_answer(photo):
                self.book.apply(question, QuestionEvent.ANSWERED)

    def _waiting(self, now: float, patience_s: float) -> list[Waiting]:
        return waiting_of(self.questions, self.photos, self.working, now, patience_s)

    def urgency(self, now: float, patience_s: float) -> Urgency | None:
        """How urgent is what :meth:`next_job` would begin."""
        found = most_urgent(self._waiting(now, patience_s), now)
        return None if found is None else found.urgency

    def next_job(self, now: float, patience_s: float) -> AnswerJob | None:
        """The next answer to make, always from the newest prefix: the most urgent one; of equal ones in turn.

        Args:
            now: seconds.
            patience_s: a draft waits until its oldest news has been here for so long.
        """
        found = most_urgent(self._waiting(now, patience_s), now)
        if found is None:
            return None
        question_id = found.question.asked.question_id
        self.questions[question_id] = self.questions.pop(question_id)  # to the end of the line
        return self._begin(found, now)

    def draft_due_s(self, patience_s: float) -> float:
        """When the next draft will have waited long enough; infinity where nothing is to be drafted."""
        return draft_due_s(self.questions, self.photos, self.working, patience_s)

    def shed(self, now: float, patience_s: float, shed: Shed) -> tuple[int, int]:
        """Leave undone what waits and there is no time for: how many drafts, and how many looks.

        A draft that is due is dropped with the news that it would have been made from; the first answer of a question
        that a look was wanted for becomes the final one.
        """
        drafts, looks = 0, 0
        for one in self._waiting(now, patience_s) if shed >= Shed.DRAFTS else ():
            if one.purpose is Purpose.DRAFT:
                one.question.tried_segments = len(one.photo)
                drafts += 1
            elif one.purpose is Purpose.LOOK and shed >= Shed.LOOKS:
                looks += self.book.apply(one.question, QuestionEvent.LOOK_SHED)
        return drafts, looks

    def _begin(self, waiting: Waiting, now: float) -> AnswerJob:
        question, photo, purpose, _ = waiting
        if purpose is Purpose.LOOK:
            self.book.apply(question, QuestionEvent.LOOK_BEGUN)  # what comes late changes the first answer no more
        waited_s = None if question.awaited_s is None else now - question.awaited_s
        question.awaited_s = None
        job = job_of(question, photo, purpose, self._price(question, photo), self._crop(question), waited_s)
        self.working[question.asked.question_id] = job
        return job

    def withdraw(self, job: AnswerJob) -> None:
        """A job was stopped before its end: where its question is still open, it can be begun again."""
        if self.working.get(job.question_id) is job:
            del self.working[job.question_id]

    def stop_working(self, question_id: int) -> AnswerJob | None:
        """A question is done: the job that is being done for it, which nobody wants any more."""
        return self.working.pop(question_id, None)

    def _crop(self, question: OpenQuestion) -> Photo | None:
        return None if question.crop_id is None else self.photos.get(question.crop_id)

    def deliver(self, job: AnswerJob, outcome: Outcome, now: float = 0.0) -> OpenQuestion | None:
        """Take what the model made; None where the question was cancelled or forgotten meanwhile.

        An error of a look or a second answer concerns only these: the first answer stays.
        """
        photo = self.photos.get(job.image_id)
        if photo is not None:
            photo.note_tokens(outcome.tokens, len(job.encoded.segments))
            photo.used_s = max(photo.used_s, now)
        self.withdraw(job)
        question = self.questions.get(job.question_id)
        if question is None:
            return None
        if job.purpose is Purpose.LOOK:
            self._take_look(question, outcome, now)
        elif job.purpose is Purpose.SECOND:
            self._take_second(question, job, outcome)
        else:
            self._take_answer(question, photo, job, outcome)
        return question

    def _take_answer(self, question: OpenQuestion, photo: Photo | None, job: AnswerJob, outcome: Outcome) -> None:
        question.tried_segments = used = len(job.encoded.segments)
        if outcome.error is not None:
            if photo is None or not question.has_first_answer(photo):  # a draft that was taken meanwhile stays
                self.book.apply(question, QuestionEvent.ANSWER_FAILED, job=job, outcome=outcome, error=outcome.error)
        elif outcome.answer is not None:
            question.note_draft(outcome, used, photo, self._calibration)
            if job.purpose is Purpose.DRAFT or question.wants_look:
                self.book.apply(question, QuestionEvent.DRAFT_MADE, job=job, outcome=outcome)

    def _take_look(self, question: OpenQuestion, outcome: Outcome, now: float) -> None:
        if outcome.error is not None:
            self.book.apply(question, QuestionEvent.LOOK_FAILED, error=outcome.error)
        elif outcome.box is None:
            self.book.apply(question, QuestionEvent.NOTHING_TO_SEE)
        elif self._regions_left <= 0:
            self.book.apply(question, QuestionEvent.NO_REGION_LEFT, box=outcome.box)
        else:
            self._regions_left -= 1
            question.limits_s[QuestionEvent.REGION_LATE] = now + self._region_timeout_s
            self.book.apply(question, QuestionEvent.REGION_FOUND, box=outcome.box)

    def _take_second(self, question: OpenQuestion, job: AnswerJob, outcome: Outcome) -> None:
        if job.crop is not None:
            self._region_bytes = job.crop.payload_bytes  # the next one will be much like it
        if outcome.answer is None:
            self.book.apply(question, QuestionEvent.SECOND_FAILED, error=outcome.error)
        else:
            question.keep_more_confident(outcome.answer, self._calibration)
            self.book.apply(question, QuestionEvent.SECOND_MADE, outcome=outcome)

    def lose_region(self, question_id: int) -> None:
        """A region that was found cannot be asked for."""
        self.book.apply_to(question_id, QuestionEvent.REGION_LOST)

    def _price(self, question: OpenQuestion, photo: Photo) -> Price:
        """What a look costs this session now."""
        budget = question.asked.question.byte_budget
        return Price(
            rate_bit_s=uplink_bit_s(photo),
            region_bytes=self._region_bytes,
            budget_bytes=None if budget is None else max(budget - photo.payload_bytes, 0),
            looks=self._max_regions - self._regions_left,
            most_looks=self._max_regions,
        )
