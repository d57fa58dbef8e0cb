"""The cloud's end of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from heliograph.errors import (
    BundleMismatchError,
    FrameDamagedError,
    HeliographError,
    PayloadTooLargeError,
    ProtocolStateError,
    ProtocolVersionError,
    TooManyError,
    TooManyRegionsError,
    UnauthorizedError,
    UnknownImageError,
    UsageError,
)
from heliograph.protocol.access import AccessTokens, owner_of
from heliograph.protocol.cloud_sender import CloudSender, OpenQuestion
from heliograph.protocol.events import (
    CropAnnounced,
    Event,
    HelloReceived,
    ImageAnnounced,
    ImageFinished,
    ImageForgotten,
    QuestionAsked,
    QuestionCancelled,
    SegmentReceived,
)
from heliograph.protocol.frames import (
    CropFrame,
    ErrorFrame,
    Frame,
    FrameType,
    HelloFrame,
    IdFrame,
    ImageFrame,
    LastImageEndFrame,
    QuestionFrame,
    SegmentFrame,
    WelcomeFrame,
)
from heliograph.protocol.images import ImageCount, SessionMemory
from heliograph.protocol.limits import (
    MAX_IMAGES,
    MAX_MODEL_NAME_BYTES,
    MAX_OPEN_QUESTIONS,
    PROTOCOL_VERSION,
    SESSION_TOKEN_BYTES,
)
from heliograph.protocol.questions import question_of_frame
from heliograph.protocol.sealing import CloudSeals
from heliograph.protocol.wire_ids import STRATEGY_WIRE_IDS


class CloudSession(CloudSender):
    """Hears questions and segments of one device, says drafts, final answers, enough, more, region, error.

    A failure that concerns one question answers with ERROR and its id, and the session lives; a damaged or
    forbidden frame, a wrong version or token ends it.

    Args:
        bundle_hash: 8 bytes, or empty for a cloud that only takes pixels.
        access_tokens: tokens of which a device must show one; empty lets every device in.
        model_name: sent to the device in WELCOME, cut at 128 bytes of UTF-8.
        session_token: 16 bytes that nobody can guess, sent to a device that wants to be able to go on after its
            connection broke; empty where this cloud keeps nothing.
        keys: of which a device must hold one, 16 to 64 bytes each; then both directions are authenticated. Empty takes
            sessions without authentication alone.
        is_new_nonce: whether a device's nonce was never seen before; remembers it.
        recall: what was kept of the session with such a token, or None; :attr:`owner` tells by then who asks.
        admit: asked before a device with a valid access token is greeted, with the session token that it shows;
            raises ServerBusyError where there is no room. :attr:`owner` tells by then who asks.
        needs_bundle: whether photos of a strategy are refused unless both ends hold the same bundle; all by default.

    Raises:
        UsageError: a hash, token or key of another length.
    """

    def __init__(
        self,
        bundle_hash: bytes,
        access_tokens: frozenset[str],
        model_name: str = "",
        *,
        session_token: bytes = b"",
        recall: Callable[[bytes], SessionMemory | None] = lambda token: None,
        keys: Sequence[bytes] = (),
        is_new_nonce: Callable[[bytes], bool] = lambda nonce: True,
        admit: Callable[[bytes], None] = lambda token: None,
        needs_bundle: Callable[[str], bool] = lambda strategy: True,
    ) -> None:
        super().__init__(bundle_hash)
        self._seals = CloudSeals(keys, is_new_nonce)
        self._buffer = self._seals.buffer
        if len(session_token) not in (0, SESSION_TOKEN_BYTES):
            raise UsageError().noted(f"session_token must have {SESSION_TOKEN_BYTES} bytes, or none.")
        self._session_token, self._recall, self._admit = session_token, recall, admit
        self._needs_bundle = needs_bundle
        self._access_tokens = AccessTokens(access_tokens)
        self._model_name = model_name.encode("utf-8", "replace")[:MAX_MODEL_NAME_BYTES].decode("utf-8", "ignore")
        self._device_bundle_hash = b""
        self._owner = b""

    @property
    def memory(self) -> SessionMemory:
        """What a session that goes on elsewhere needs; take it before this one is closed."""
        return self._memory

    @property
    def owner(self) -> bytes:
        """Digest of the access token that the device showed; empty before its HELLO was let in."""
        return self._owner

    @property
    def key_digest(self) -> bytes:
        """Digest (16 bytes) of the key that authenticates the session; empty without one, and before its HELLO."""
        return self._seals.key_digest

    @property
    def draft_bytes(self) -> int:
        """Bytes of the drafts that are kept to send the next ones as differences."""
        return sum(len(question.draft or b"") for question in self._questions.values())

    @property
    def open_questions(self) -> tuple[int, ...]:
        """Questions that still wait for their final answer."""
        return tuple(self._questions)

    def image_count(self, image_id: int) -> ImageCount | None:
        """What has arrived of a photo, late segments included; None where it is not held."""
        return self._memory.images.get(image_id)

    # ---- what the cloud hears --------------------------------------------------------------------------
    def _on_frame(self, frame: Frame) -> Iterator[Event]:
        match frame:
            case HelloFrame():
                yield self._on_hello(frame)
            case QuestionFrame():
                yield from self._on_question(frame)
            case ImageFrame():
                yield from self._on_image(frame)
            case SegmentFrame():
                yield from self._on_segment(frame)
            case IdFrame(type=FrameType.IMAGE_END, id=image_id):
                yield from self._on_image_end(image_id)
            case LastImageEndFrame():
                yield from self._on_image_end(self._memory.images.last_id)
            case IdFrame(type=FrameType.FORGET, id=image_id):
                if self._is_held(image_id):
                    yield self._drop_image(image_id, UnknownImageError)
            case IdFrame(type=FrameType.CANCEL, id=question_id):
                if question_id >= self._memory.next_question_id:
                    raise ProtocolStateError
                if self._questions.pop(question_id, None) is not None:
                    yield QuestionCancelled(question_id)
            case CropFrame():
                yield from self._on_crop(frame)
            case _:
                raise ProtocolStateError

    def _carried(self, frame: Frame, data: bytes) -> bytes | bytearray:
        return self._seals.carried(frame, data)

    def _on_hello(self, frame: HelloFrame) -> Event:
        if frame.version != PROTOCOL_VERSION:
            raise ProtocolVersionError
        self._seals.check(frame)
        if not self._access_tokens.let_in(frame.access_token):
            raise UnauthorizedError
        self._device_bundle_hash, self._owner = frame.bundle_hash, owner_of(frame.access_token)
        self._admit(frame.session_token)
        kept, token = self._recall(frame.session_token) if frame.session_token else None, b""
        if kept is not None:
            self._memory = kept
            held = tuple(kept.images.resume())
            self._send(WelcomeFrame(self._bundle_hash, self._model_name, held=held))
        else:
            token = self._session_token if frame.resumable else b""
            self._send(WelcomeFrame(self._bundle_hash, self._model_name, token))
        return HelloReceived(frame.bundle_hash, kept is not None, kept is not None or token != b"")

    def _on_question(self, frame: QuestionFrame) -> Iterator[Event]:
        if frame.question_id < self._memory.next_question_id:
            raise ProtocolStateError
        self._memory.next_question_id = frame.question_id + 1
        try:
            question = question_of_frame(frame)
            if len(self._questions) >= MAX_OPEN_QUESTIONS:
                raise TooManyError
            expected = self._memory.images.is_new(frame.image_id) and frame.image_follows
            if not expected and frame.image_id not in self._memory.images:
                raise self._memory.refused.get(frame.image_id, UnknownImageError)
        except FrameDamagedError:
            raise
        except HeliographError as error:
            self._send(ErrorFrame(error.code, frame.question_id))
            return
        self._questions[frame.question_id] = OpenQuestion(frame.image_id)
        yield QuestionAsked(frame.question_id, frame.image_id, question, frame.image_follows)

    def _on_crop(self, frame: CropFrame) -> Iterator[Event]:
        if frame.question_id >= self._memory.next_question_id:
            raise ProtocolStateError
        question = self._questions.get(frame.question_id)
        if question is None:
            return  # answered while the crop was on its way
        if not question.crop_is_due:  # nobody asked for it
            del self._questions[frame.question_id]
            self._send(ErrorFrame(TooManyRegionsError.code, frame.question_id))
            yield QuestionCancelled(frame.question_id)
            return
        question.crop_is_due = False
        images, crop_id = self._memory.images, frame.image_id
        gone = crop_id is not None and not images.is_new(crop_id) and crop_id not in images
        question.crop_id = None if gone else crop_id
        yield CropAnnounced(frame.question_id, question.crop_id)

    def _on_image(self, frame: ImageFrame) -> Iterator[Event]:
        if not self._memory.images.is_new(frame.image_id):
            raise ProtocolStateError
        passed_over = range(self._memory.images.next_id, frame.image_id)
        self._fail_questions(UnknownImageError, passed_over)
        yield from self._lost_crops(passed_over)
        try:
            strategy = STRATEGY_WIRE_IDS.name_of(frame.strategy_id)
            if self._needs_bundle(strategy):
                self._check_bundle()
            self._memory.images.check_room()
        except HeliographError as error:
            self._memory.images.refuse(frame.image_id)
            self._refuse_image(frame.image_id, type(error))
            yield from self._lost_crops(range(frame.image_id, frame.image_id + 1))
            return  # its segments, which may be on their way, are ignored
        self._memory.images.add(frame.image_id, len(frame.header))
        yield ImageAnnounced(frame.image_id, strategy, frame.header, frame.total_segments)

    def _lost_crops(self, image_ids: range) -> Iterator[Event]:
        """A crop that does not come leaves its question with the first answer."""
        lost = [(n, question) for n, question in self._questions.items() if question.crop_id in image_ids]
        for question_id, question in lost:  # whoever hears of the first may answer it, and others, at once
            question.crop_id = None
            if question_id in self._questions:
                yield CropAnnounced(question_id, None)

    def _check_bundle(self) -> None:
        if not self._bundle_hash or self._device_bundle_hash != self._bundle_hash:
            raise BundleMismatchError

    def _on_segment(self, frame: SegmentFrame) -> Iterator[Event]:
        image_id = self._memory.images.last_id if frame.image_id is None else frame.image_id
        if image_id < 0:
            raise ProtocolStateError  # no photo was announced
        if not self._is_held(image_id):
            return  # refused or forgotten while the segment was on its way
        image = self._memory.images.held(image_id)
        if image.finished:
            raise ProtocolStateError
        try:
            image.add_segment(len(frame.payload))
        except PayloadTooLargeError:
            yield self._drop_image(image_id, PayloadTooLargeError)
            return
        yield SegmentReceived(image_id, image.segments - 1, frame.payload, image.enough)

    def _on_image_end(self, image_id: int) -> Iterator[Event]:
        if not self._is_held(image_id):
            return
        image = self._memory.images.held(image_id)
        if image.finished:
            raise ProtocolStateError
        image.finished = True
        yield ImageFinished(image_id)

    def _is_held(self, image_id: int) -> bool:
        if self._memory.images.is_new(image_id):
            raise ProtocolStateError
        return image_id in self._memory.images

    # ---- failures of one photo -------------------------------------------------------------------------
    def drop_image(self, image_id: int) -> None:
        """Hold a photo no longer; questions about it fail with UnknownImageError, now and later."""
        if image_id in self._memory.images:
            self._drop_image(image_id, UnknownImageError)

    def _drop_image(self, image_id: int, reason: type[HeliographError]) -> Event:
        self._memory.images.remove(image_id)
        self._refuse_image(image_id, reason)
        return ImageForgotten(image_id)

    def _refuse_image(self, image_id: int, reason: type[HeliographError]) -> None:
        """Tell every open question about the photo, and remember the reason for later ones."""
        if len(self._memory.refused) >= MAX_IMAGES:
            del self._memory.refused[next(iter(self._memory.refused))]
        self._memory.refused[image_id] = reason
        self._fail_questions(reason, range(image_id, image_id + 1))

    def _fail_questions(self, reason: type[HeliographError], image_ids: range) -> None:
        failed = [number for number, question in self._questions.items() if question.image_id in image_ids]
        for question_id in failed:
            del self._questions[question_id]
            self._send(ErrorFrame(reason.code, question_id))

    def _on_question_failed(self, question_id: int) -> None:
        self._questions.pop(question_id, None)

    def _forget_all(self) -> None:
        self._memory = SessionMemory()  # whoever keeps the old one can go on with it
        self._questions.clear()

    def _is_waiting(self) -> bool:
        return bool(self._questions)
