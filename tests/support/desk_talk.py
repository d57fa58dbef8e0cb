"""A desk on made-up time: the test is the device, the model and the clock."""

from __future__ import annotations

from typing import Any

from heliograph.codec.calibration import Calibration, Curve
from heliograph.controllers.base import Controller, Enough, Observation, Wait
from heliograph.protocol.events import CropAnnounced, ImageAnnounced, QuestionAsked, SegmentReceived
from heliograph.question import Question
from heliograph.serving.desk.book import Step
from heliograph.serving.desk.desk import Desk
from heliograph.serving.desk.states import Effect, QuestionEvent
from heliograph.serving.jobs import AnswerJob, Outcome
from heliograph.types import Answer

BOX = (0, 0, 512, 512)


class Scripted(Controller):
    """Says what a test has told it to say; raises what it is told to raise."""

    name = "scripted"

    def __init__(self, *says: object, reads: frozenset[str] = frozenset()) -> None:
        self.says, self.seen, self._reads = list(says), list[Observation](), reads

    @classmethod
    def from_target(cls, target: int) -> Scripted:
        return cls()

    def reads(self) -> frozenset[str]:
        return self._reads

    def decide(self, observation: Observation) -> Any:
        self.seen.append(observation)
        said = self.says.pop(0) if self.says else (Enough() if observation.image_finished else Wait())
        if isinstance(said, Exception):
            raise said
        return said


def calibration() -> Calibration:
    """The chance is the error head's, whatever the confidence is called."""
    curve = Curve(("answer-differs",), (0.0,), (1.0,), (1.0,), 0.0)
    names = ("combined", "min-entropy", "error-head")
    return Calibration(dict.fromkeys(names, curve), dict.fromkeys(names, curve))


class Talk:
    """A desk and what has become of its questions.

    Attributes:
        now: seconds; a test moves it on.
    """

    def __init__(self, desk: Desk | None = None, now: float = 0.0) -> None:
        self.desk = desk or Desk()
        self.now = now

    # ---- the device ------------------------------------------------------------------------------------------
    def ask(self, question_id: int = 0, image_id: int = 0, text: str = "what", **wishes: Any) -> None:
        wishes = {"controller": "fixed", "target": 0, **wishes}
        self.desk.ask(QuestionAsked(question_id, image_id, Question(text, **wishes)), self.now)

    def scripted(self, question_id: int = 0, image_id: int = 0, *says: object, **wishes: Any) -> Scripted:
        """Ask, with a controller that says what a test wants."""
        self.ask(question_id, image_id, f"question {question_id}", **wishes)
        controller = Scripted(*says)
        self.desk.questions[question_id].controller = controller
        return controller

    def announce(self, image_id: int = 0, strategy: str = "klt", total: int = 0) -> None:
        self.desk.announce(ImageAnnounced(image_id, strategy, b"h", total), self.now)

    def segment(self, image_id: int = 0, payload: bytes = b"x", count: int = 1) -> None:
        for _ in range(count):
            photo = self.desk.photos[image_id]
            self.desk.add_segment(SegmentReceived(image_id, len(photo), payload), self.now)

    def photo(self, image_id: int = 0, segments: int = 1, finish: bool = True) -> None:
        """A photo that comes at once."""
        self.announce(image_id)
        self.segment(image_id, count=segments)
        if finish:
            self.desk.finish(image_id)

    def crop(self, question_id: int, image_id: int | None) -> None:
        self.desk.take_crop(CropAnnounced(question_id, image_id))

    # ---- the model -------------------------------------------------------------------------------------------
    def job(self, patience_s: float = 0.0) -> AnswerJob | None:
        return self.desk.next_job(self.now, patience_s)

    def made(self, job: AnswerJob | None, **outcome: Any) -> None:
        assert job is not None
        self.desk.deliver(job, Outcome(**outcome), self.now)

    def answered(self, job: AnswerJob | None, text: str = "red", confidence: float = 0.5, **outcome: Any) -> None:
        self.made(job, answer=Answer(text, confidence, 1.0, (7,)), **outcome)

    def first_answer(self, question_id: int = 0, confidence: float = 0.5, **wishes: Any) -> AnswerJob:
        """A whole photo of three segments, its first answer, and the look that follows."""
        self.ask(question_id, question_id, region="always", **wishes)
        self.photo(question_id, 3)
        self.desk.decide(question_id, self.now)
        self.answered(self.job(), confidence=confidence)
        look = self.job()
        assert look is not None
        return look

    def region_asked(self, question_id: int = 0, **first: Any) -> None:
        """As far as the region that the device is asked for."""
        self.made(self.first_answer(question_id, **first), box=BOX)
        assert self.happened()[-1] == (question_id, QuestionEvent.REGION_FOUND)

    # ---- what has come of it -----------------------------------------------------------------------------------
    def steps(self) -> list[Step]:
        self.desk.settle()
        return self.desk.book.take_steps()

    def happened(self) -> list[tuple[int, QuestionEvent]]:
        return [(step.question_id, step.event) for step in self.steps()]

    def said(self) -> list[tuple[int, Effect]]:
        """What the device is told, question by question."""
        told = (Effect.SEND_DRAFT, Effect.SEND_FINAL, Effect.SEND_ERROR, Effect.ASK_REGION)
        return [(step.question_id, effect) for step in self.steps() for effect in step.effects if effect in told]
