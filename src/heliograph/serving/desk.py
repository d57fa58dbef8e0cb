"""The open questions and held photos of one session: what to answer next, and when there is enough. No I/O.

A question's life::

    asked -> (photo announced) -> draft on the newest prefix -> ... -> enough -> final answer on the newest prefix
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from heliograph.controllers.base import Controller, Enough, Observation
from heliograph.protocol.events import ImageAnnounced, QuestionAsked, SegmentReceived
from heliograph.registry import CONTROLLERS
from heliograph.serving.cloud import AnswerJob, Outcome
from heliograph.types import Answer, EncodedImage, VisualTokens

NOTHING = -1


@dataclass
class Photo:
    """A photo as it arrives, and what its newest restored prefix gave."""

    strategy: str
    header: bytes
    segments: list[bytes] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    payload_bytes: int = 0
    finished: bool = False
    energy: float | None = None
    energy_segments: int = NOTHING
    tokens: VisualTokens | None = None
    tokens_segments: int = NOTHING

    def encoded(self) -> EncodedImage:
        """Everything that has arrived, as a snapshot."""
        return EncodedImage(self.strategy, self.header, tuple(self.segments))


@dataclass
class OpenQuestion:
    """A question without a final answer."""

    asked: QuestionAsked
    controller: Controller
    asked_s: float
    draft: Answer | None = None
    draft_segments: int = NOTHING
    tried_segments: int = NOTHING
    enough: bool = False


class Desk:
    """Book-keeping of one session. ``next_job`` and ``deliver`` are called in turn, one job at a time."""

    def __init__(self) -> None:
        self.photos: dict[int, Photo] = {}
        self.questions: dict[int, OpenQuestion] = {}

    @property
    def held_bytes(self) -> int:
        """Payload bytes of all photos held."""
        return sum(photo.payload_bytes for photo in self.photos.values())

    # ---- what the device did -----------------------------------------------------------------------
    def ask(self, asked: QuestionAsked, now: float) -> None:
        """Take a question.

        Raises:
            UnknownNameError, UsageError: there is no such controller, or not with this target.
        """
        controller: Controller = CONTROLLERS.load(asked.controller).from_target(asked.target)
        self.questions[asked.question_id] = OpenQuestion(asked, controller, now)

    def announce(self, announced: ImageAnnounced) -> None:
        """Begin a photo."""
        size = len(announced.header)
        self.photos[announced.image_id] = Photo(announced.strategy, announced.header, payload_bytes=size)

    def add_segment(self, received: SegmentReceived, now: float) -> None:
        """Take a segment of a held photo."""
        photo = self.photos[received.image_id]
        photo.segments.append(received.payload)
        photo.arrived_s.append(now)
        photo.payload_bytes += len(received.payload)

    def forget(self, image_id: int) -> int:
        """Drop a photo with its questions (the session has told the device); the payload bytes freed."""
        for question_id in [n for n, q in self.questions.items() if q.asked.image_id == image_id]:
            del self.questions[question_id]
        photo = self.photos.pop(image_id, None)
        return photo.payload_bytes if photo else 0

    # ---- what the controllers say ------------------------------------------------------------------
    def undecided(self, image_id: int) -> list[int]:
        """Open questions about a photo that do not have enough yet."""
        return [n for n, q in self.questions.items() if q.asked.image_id == image_id and not q.enough]

    def decide(self, image_id: int) -> bool:
        """Ask every controller of a held photo; True where no question about it needs more."""
        photo = self.photos[image_id]
        for question_id in self.undecided(image_id):
            question = self.questions[question_id]
            seen = Observation(
                photo.payload_bytes,
                len(photo.segments),
                photo.energy if photo.energy_segments != NOTHING else None,
                photo.finished,
                question.draft.confidence if question.draft else None,
            )
            question.enough = isinstance(question.controller.decide(seen), Enough)
        return not self.undecided(image_id)

    # ---- what the model does -----------------------------------------------------------------------
    def ready_finals(self) -> list[tuple[int, Answer, int]]:
        """Questions whose draft already is the answer on all that has arrived: (id, answer, segments)."""
        ready = []
        for question_id, question in self.questions.items():
            photo = self.photos.get(question.asked.image_id)
            if photo and question.enough and question.draft and question.draft_segments == len(photo.segments):
                ready.append((question_id, question.draft, question.draft_segments))
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
                if final or _news_s(question, photo) + patience_s <= now:
                    self.questions[question_id] = self.questions.pop(question_id)  # to the end of the line
                    return _job(question, photo, final)
        return None

    def draft_due_s(self, patience_s: float) -> float | None:
        """When the next draft will have waited long enough; None where nothing is to be drafted."""
        pairs = ((question, self.photos.get(question.asked.image_id)) for question in self.questions.values())
        news = [_news_s(question, photo) for question, photo in pairs if photo is not None and not question.enough]
        soonest = min(news, default=inf)
        return None if soonest == inf else soonest + patience_s

    def deliver(self, job: AnswerJob, outcome: Outcome) -> OpenQuestion | None:
        """Take what the model made; None where the question was cancelled or forgotten meanwhile."""
        used = len(job.encoded.segments)
        photo = self.photos.get(job.image_id)
        if photo is not None and outcome.tokens is not None and used > photo.tokens_segments:
            photo.tokens, photo.tokens_segments = outcome.tokens, used
        question = self.questions.get(job.question_id)
        if question is None:
            return None
        question.tried_segments = used
        if outcome.answer is not None:
            question.draft, question.draft_segments = outcome.answer, used
        return question


def _news_s(question: OpenQuestion, photo: Photo) -> float:
    """When the first segment came that no draft of this question has seen; infinity where there is none."""
    tried = max(question.tried_segments, 0)
    return photo.arrived_s[tried] if tried < len(photo.arrived_s) else inf


def _job(question: OpenQuestion, photo: Photo, final: bool) -> AnswerJob:
    asked = question.asked
    tokens = photo.tokens if photo.tokens_segments == len(photo.segments) else None
    return AnswerJob(
        asked.question_id,
        asked.image_id,
        asked.question,
        photo.encoded(),
        tokens,
        question.draft,
        final,
        max(1, asked.max_answer_tokens),
    )
