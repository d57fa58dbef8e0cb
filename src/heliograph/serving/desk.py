"""The open questions and held photos of one session: what to answer next, and when there is enough. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from heliograph.codec.calibration import Calibration
from heliograph.controllers.base import More
from heliograph.controllers.bounds import controller_for
from heliograph.controllers.region_policies import MOST_LOOKS, Price
from heliograph.errors import TooManyRegionsError
from heliograph.protocol.events import CropAnnounced, ImageAnnounced, QuestionAsked, SegmentReceived
from heliograph.protocol.frames import AnswerFlag
from heliograph.question import ALWAYS, NO_REGION
from heliograph.serving.jobs import UNKNOWN_PRICE, AnswerJob, Outcome, Purpose
from heliograph.serving.photo import Photo
from heliograph.serving.question import OpenQuestion, Region

MAX_REGIONS = MOST_LOOKS

_USUAL_REGION_BYTES = 1500
_SHORT_S = 0.005


@dataclass(frozen=True)
class Verdict:
    """What the controllers of one photo's questions say together.

    Attributes:
        enough: no question needs more.
        more: further segments to ask the device for; 0 for none.
    """

    enough: bool
    more: int = 0


class Desk:
    """Book-keeping of one session. ``next_job`` and ``deliver`` are called in turn, one job at a time.

    Args:
        calibration: that controllers read; None where the cloud holds none.
        max_regions: crops that one session may cause.
    """

    def __init__(self, calibration: Calibration | None = None, max_regions: int = MAX_REGIONS) -> None:
        self.photos: dict[int, Photo] = {}
        self.questions: dict[int, OpenQuestion] = {}
        self._calibration = calibration
        self._most_regions = self._regions_left = max_regions
        self._region_bytes = _USUAL_REGION_BYTES
        self._interrupted: dict[tuple[int, str], OpenQuestion] = {}
        self._interrupted_s = 0.0

    # ---- what is held ------------------------------------------------------------------------------
    @property
    def held_bytes(self) -> int:
        """Memory of all photos and questions held."""
        questions = (*self.questions.values(), *self._interrupted.values())
        return sum(p.held_bytes for p in self.photos.values()) + sum(q.held_bytes for q in questions)

    @property
    def worth_keeping(self) -> bool:
        """Whether going on with this session would save the device anything."""
        return any(len(photo) for photo in self.photos.values())

    def drop_tokens(self) -> None:
        """Give the memory of restored tokens back."""
        for photo in self.photos.values():
            photo.drop_tokens()

    def unused(self, before_s: float) -> list[int]:
        """Photos that nobody has sent, asked about or answered from since then, and without an open question."""
        wanted = {q.asked.image_id for q in self.questions.values()} | {q.crop_id for q in self.questions.values()}
        return [n for n, photo in self.photos.items() if photo.used_s <= before_s and n not in wanted]

    def forget_interrupted(self, before_s: float) -> None:
        """Give up drafts of questions that a device has not asked again since its connection broke before then."""
        if self._interrupted_s <= before_s:
            self._interrupted = {}

    # ---- what the device did -----------------------------------------------------------------------
    def ask(self, asked: QuestionAsked, now: float) -> None:
        """Take a question.

        Raises:
            UnknownNameError: there is no such controller.
            TooManyRegionsError: it wants a region in any case, and the session has had all it may.
        """
        region = asked.question.region
        if region == ALWAYS and self._regions_left <= 0:
            raise TooManyRegionsError
        question = OpenQuestion(asked, controller_for(asked.question, self._calibration), now)
        question.region = Region.DONE if region == NO_REGION else Region.WANTED
        earlier = self._interrupted.pop((asked.image_id, asked.question.text), None)
        if earlier is not None:
            question.interrupt(earlier)
        self.questions[asked.question_id] = question
        if asked.image_id in self.photos:
            self.photos[asked.image_id].used_s = now

    def announce(self, announced: ImageAnnounced, now: float = 0.0) -> None:
        """Begin a photo."""
        self.photos[announced.image_id] = Photo(announced.strategy, announced.header, announced.total_segments, now)

    def add_segment(self, received: SegmentReceived, now: float) -> None:
        """Take a segment of a held photo."""
        self.photos[received.image_id].add(received.payload, now)

    def take_crop(self, announced: CropAnnounced) -> None:
        """The device has answered a region: with a photo, or not at all."""
        question = self.questions.get(announced.question_id)
        if question is None or question.region not in (Region.ASKED, Region.COMING):
            return
        if announced.image_id is None:
            question.keep_first(AnswerFlag.REGION_MISSED)
        else:
            question.region, question.crop_id = Region.COMING, announced.image_id

    def forget(self, image_id: int) -> None:
        """Drop a photo with its questions (the session has told the device)."""
        for question_id in [n for n, q in self.questions.items() if q.asked.image_id == image_id]:
            del self.questions[question_id]
        for question in self.questions.values():
            if question.crop_id == image_id:
                question.keep_first(AnswerFlag.REGION_MISSED)
        for key in [key for key in self._interrupted if key[0] == image_id]:
            del self._interrupted[key]
        self.photos.pop(image_id, None)

    def interrupt(self, now: float = 0.0) -> None:
        """The connection broke: questions will be asked anew, and what is known of their answers is kept for that."""
        self._interrupted = {(q.asked.image_id, q.asked.question.text): q for q in self.questions.values() if q.draft}
        self._interrupted_s = now
        self.questions = {}

    # ---- what the controllers say ------------------------------------------------------------------
    def undecided(self, image_id: int) -> list[int]:
        """Open questions about a photo that do not have enough yet."""
        return [n for n, q in self.questions.items() if q.asked.image_id == image_id and not q.enough]

    def reads(self, image_id: int) -> frozenset[str]:
        """What their controllers want measured."""
        wanted = [self.questions[question_id].controller.reads() for question_id in self.undecided(image_id)]
        return frozenset().union(*wanted)

    def overdue(self, before_s: float) -> list[int]:
        """Questions that still wait for their photo, of which nothing has come since then."""
        waiting = [n for n, q in self.questions.items() if not q.enough and q.asked_s <= before_s]
        photos = {n: self.photos.get(self.questions[n].asked.image_id) for n in waiting}
        return [n for n, photo in photos.items() if photo is None or photo.news_s <= before_s]

    def stop_waiting(self, question_id: int) -> bool:
        """Have a question answered from what has arrived of its photo; False where that is nothing."""
        question = self.questions[question_id]
        question.enough = len(self.photos.get(question.asked.image_id, ())) > 0
        return question.enough

    def decide(self, image_id: int, now: float = 0.0, answer_s: float = 0.0) -> Verdict:
        """Ask every controller of a held photo.

        Args:
            image_id: of the photo.
            now: seconds.
            answer_s: what an answer usually takes.
        """
        photo, more = self.photos[image_id], 0
        for question_id in self.undecided(image_id):
            question = self.questions[question_id]
            decided = question.decide(photo, now, answer_s)
            if isinstance(decided, More):
                question.asked_segments = len(photo) + decided.segments
                more = max(more, decided.segments)
        return Verdict(not self.undecided(image_id), more)

    # ---- what the model does -----------------------------------------------------------------------
    def ready_finals(self) -> list[int]:
        """Questions whose draft is the final answer."""
        ready = []
        for question_id, question in self.questions.items():
            photo = self.photos.get(question.asked.image_id)
            if photo is not None and question.region is Region.DONE and question.has_first_answer(photo):
                ready.append(question_id)
        return ready

    def next_job(self, now: float, patience_s: float) -> AnswerJob | None:
        """The next answer to make, always from the newest prefix; questions take turns, final answers first.

        Args:
            now: seconds.
            patience_s: a draft waits until its oldest news has been here for so long.
        """
        for final in (True, False):
            for question_id, question in self.questions.items():
                photo = self.photos.get(question.asked.image_id)
                if photo is None or question.enough is not final:
                    continue
                purpose = self._purpose(question, photo, now, patience_s)
                if purpose is not None:
                    self.questions[question_id] = self.questions.pop(question_id)  # to the end of the line
                    return self._job(question, photo, purpose)
        return None

    def _purpose(self, question: OpenQuestion, photo: Photo, now: float, patience_s: float) -> Purpose | None:
        if not question.enough:
            return Purpose.DRAFT if _news_s(question, photo) + patience_s <= now else None
        if not question.has_first_answer(photo):
            return Purpose.FINAL
        if question.region is Region.WANTED:
            question.take_draft = True  # what comes late changes the first answer no more
            return Purpose.LOOK
        crop = self._crop(question)
        return Purpose.SECOND if question.region is Region.COMING and crop is not None and crop.finished else None

    def _crop(self, question: OpenQuestion) -> Photo | None:
        return None if question.crop_id is None else self.photos.get(question.crop_id)

    def draft_due_s(self, patience_s: float) -> float | None:
        """When the next draft will have waited long enough; None where nothing is to be drafted."""
        pairs = ((question, self.photos.get(question.asked.image_id)) for question in self.questions.values())
        news = [_news_s(question, photo) for question, photo in pairs if photo is not None and not question.enough]
        soonest = min(news, default=inf)
        return None if soonest == inf else soonest + patience_s

    def deliver(self, job: AnswerJob, outcome: Outcome, now: float = 0.0) -> OpenQuestion | None:
        """Take what the model made; None where the question was cancelled or forgotten meanwhile.

        An error of a look or a second answer concerns only these: the first answer stays.
        """
        used = len(job.encoded.segments)
        photo = self.photos.get(job.image_id)
        if photo is not None:
            photo.note_tokens(outcome.tokens, used)
            photo.used_s = max(photo.used_s, now)
        question = self.questions.get(job.question_id)
        if question is None:
            return None
        if job.purpose is Purpose.LOOK:
            self._take_look(question, outcome)
        elif job.purpose is Purpose.SECOND:
            if outcome.answer is None:
                question.keep_first(AnswerFlag.REGION_MISSED)
            else:
                question.keep_surer(outcome.answer)
            if job.crop is not None:
                self._region_bytes = job.crop.payload_bytes  # the next one will be much like it
        else:
            question.tried_segments = used
            if outcome.answer is not None:
                question.note_draft(outcome, used, photo, calibrated=self._calibration is not None)
        return question

    def _take_look(self, question: OpenQuestion, outcome: Outcome) -> None:
        if outcome.error is not None:
            question.keep_first(AnswerFlag.CONTROLLER_FAILED)
        elif outcome.box is None:
            question.region = Region.DONE
        elif self._regions_left <= 0:
            question.keep_first(AnswerFlag.REGION_MISSED)
        else:
            self._regions_left -= 1
            question.region = Region.ASKED

    def give_up_regions(self, before_s: float) -> bool:
        """Keep the first answers of questions whose region was asked for before a time; False where there are none."""
        late = [
            q for q in self.questions.values() if q.region in (Region.ASKED, Region.COMING) and q.region_s <= before_s
        ]
        for question in late:
            question.keep_first(AnswerFlag.REGION_MISSED)
        return bool(late)

    def _price(self, question: OpenQuestion, photo: Photo) -> Price:
        """What a look costs this session now."""
        budget = question.asked.question.byte_budget
        return Price(
            rate_bit_s=_rate_bit_s(photo),
            region_bytes=self._region_bytes,
            budget_bytes=None if budget is None else max(budget - photo.payload_bytes, 0),
            looks=self._most_regions - self._regions_left,
            most_looks=self._most_regions,
        )

    def _job(self, question: OpenQuestion, photo: Photo, purpose: Purpose) -> AnswerJob:
        asked, crop = question.asked, self._crop(question)
        if purpose in (Purpose.LOOK, Purpose.SECOND) and question.draft_segments < len(photo):
            encoded = photo.encoded(question.draft_segments)
            tokens = photo.tokens if photo.tokens_segments == question.draft_segments else None
        else:
            encoded, tokens = photo.encoded(), photo.newest_tokens()
        return AnswerJob(
            asked.question_id,
            asked.image_id,
            asked.question,
            encoded,
            tokens,
            question.draft,
            purpose,
            self._price(question, photo) if purpose is Purpose.LOOK else UNKNOWN_PRICE,
            question.signals,
            crop.encoded() if crop is not None and purpose is Purpose.SECOND else None,
        )


def _rate_bit_s(photo: Photo) -> float:
    """Of the device's uplink, from when the segments came; 0 where they came at once."""
    took_s = photo.arrived_s(-1) - photo.arrived_s(0) if len(photo) else 0.0
    if len(photo) < 2 or took_s < _SHORT_S:
        return 0.0
    return 8 * (photo.payload_bytes - photo.prefix_bytes(1)) / took_s


def _news_s(question: OpenQuestion, photo: Photo) -> float:
    """When the first segment came that no draft of this question has seen; infinity where there is none."""
    tried = max(question.tried_segments, 0)
    return photo.arrived_s(tried) if tried < len(photo) else inf
