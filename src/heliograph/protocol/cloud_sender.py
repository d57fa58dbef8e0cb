"""What the cloud says in a session: drafts, final answers, enough, more, regions, errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from heliograph.boxes import WireBox
from heliograph.errors import HeliographError, UsageError
from heliograph.protocol.endpoint import Endpoint
from heliograph.protocol.frames import (
    NO_FLAGS,
    AnswerFlag,
    ErrorFrame,
    FrameType,
    IdFrame,
    MoreFrame,
    RegionFrame,
)
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.limits import MAX_REGIONS_PER_QUESTION, MAX_SEGMENTS_PER_IMAGE, REGION_SCALE
from heliograph.protocol.states import CLOUD_RECEIVES, CLOUD_SENDS, Table
from heliograph.protocol.texts import answer_bytes, answer_frame


@dataclass(slots=True)
class OpenQuestion:
    """A question as its session keeps it: the photo, the draft that the device has, and its region."""

    image_id: int
    draft: bytes | None = None
    regions: int = 0
    crop_is_due: bool = False
    crop_id: int | None = None


class CloudSender(Endpoint):
    """The half of :class:`heliograph.protocol.cloud.CloudSession` that queues frames; it hears nothing."""

    _sends: ClassVar[Table] = CLOUD_SENDS
    _receives: ClassVar[Table] = CLOUD_RECEIVES

    def __init__(self, bundle_hash: bytes) -> None:
        super().__init__(bundle_hash)
        self._memory = SessionMemory()
        self._questions: dict[int, OpenQuestion] = {}

    def send_draft(self, question_id: int, text: str, confidence: float, segments_used: int) -> bool:
        """Queue a draft answer, as the difference to the previous draft.

        Only a changed text is sent: a draft that repeats the text costs the link and tells the device nothing that the
        final answer's confidence will not.

        Returns:
            False where nothing was queued: unchanged, or the question is not open (cancelled, failed, answered).
        """
        question = self._questions.get(question_id)
        if question is None:
            return False
        data = answer_bytes(text)
        if data == question.draft:
            return False
        self._send(answer_frame(question_id, data, question.draft or b"", confidence, segments_used, final=False))
        question.draft = data
        return True

    def send_final(
        self, question_id: int, text: str, confidence: float, segments_used: int, flags: AnswerFlag = NO_FLAGS
    ) -> bool:
        """Queue the final answer and close the question; text beyond 4000 characters is cut off.

        Returns:
            False where the question is not open.
        """
        question = self._questions.pop(question_id, None)
        if question is None:
            return False
        previous = question.draft or b""
        data = answer_bytes(text)
        self._send(
            answer_frame(question_id, data, previous, confidence, segments_used, final=True, flags=AnswerFlag(flags))
        )
        return True

    def send_enough(self, image_id: int) -> bool:
        """Ask the device to stop this photo's segments; what is on its way still arrives, marked late.

        Returns:
            False where nothing was queued: the photo is not held, or it was announced before, or all is here.
        """
        image = self._memory.images.get(image_id)
        if image is None or image.enough or image.finished:
            return False
        image.enough = True
        self._send(IdFrame(FrameType.ENOUGH, image_id))
        return True

    def send_more(self, image_id: int, segments: int) -> bool:
        """Ask for 1 to 4096 further segments; takes an ENOUGH back. False where the photo is not held or all here."""
        if not 1 <= segments <= MAX_SEGMENTS_PER_IMAGE:
            raise UsageError.of_argument("segments", f"1 to {MAX_SEGMENTS_PER_IMAGE}", segments)
        image = self._memory.images.get(image_id)
        if image is None or image.finished:
            return False
        image.enough = False
        self._send(MoreFrame(image_id, segments))
        return True

    def send_region(self, question_id: int, box: WireBox) -> bool:
        """Ask for a crop of the question's photo.

        Returns:
            False where nothing was queued: the question is not open, or one was asked for already.
        """
        left, top, right, bottom = box
        if not (0 <= left < right <= REGION_SCALE and 0 <= top < bottom <= REGION_SCALE):
            raise UsageError.of_argument("box", f"a box with an area, within 0 to {REGION_SCALE}", tuple(box))
        question = self._questions.get(question_id)
        if question is None or question.regions >= MAX_REGIONS_PER_QUESTION:
            return False
        question.regions += 1
        question.crop_is_due = True
        self._send(RegionFrame(question_id, box))
        return True

    def send_error(self, error: HeliographError, question_id: int | None) -> None:
        """Queue a failure: of an open question (the session lives), or with None of the session, which ends.

        A question that is not open any more gets nothing.
        """
        if question_id is None:
            if not self.closed:
                self._fail(type(error))
        elif self._questions.pop(question_id, None) is not None:
            self._send(ErrorFrame(error.code, question_id))
