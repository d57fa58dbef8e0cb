"""One exchange as arithmetic: real sessions make the messages, the link model carries them.

::

    t = 0   QUESTION ------------------------------> (arrives while the device still encodes)
    t = encode   IMAGE + segments, 128 bytes and more per message, at link speed -->
                                  cloud, when idle and news of an embedded photo have waited: draft (answer or verify)
                                  cloud, when idle and the last segment is there: final answer
    <------------------------------ drafts, final answer

Times count from the question on a connection that is open; opening it is reported on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.controllers.pull import chunk_segments
from heliograph.edge.messages import grouped, photo_messages
from heliograph.edge.stop import chunk_end
from heliograph.protocol.authentication import NONCE_BYTES
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.question import FIXED, NO_LIMIT, PULL, Question
from heliograph.serving.patience import DRAFT_PATIENCE
from heliograph.strategies.selection import needs_bundle
from heliograph.transport.base import client_message_bytes, server_message_bytes
from heliograph.transport.links import LinkDirection, LinkProfile
from heliograph.types import Answer, EncodedImage

_IMAGE, _QUESTION = 1, 2


@dataclass(frozen=True)
class Messages:
    """Websocket messages of one exchange in bytes on the TCP stream, framing included.

    Attributes:
        greeting: HELLO and WELCOME, once per connection.
        question: QUESTION.
        photo: IMAGE and segments, in order; the last one ends the photo.
        answer: a draft, or a final answer without a draft before it.
        repeated: the final answer where a draft had been the same.
        text_bytes: of question and answer, which are no overhead.
    """

    greeting: int
    question: int
    photo: tuple[int, ...]
    answer: int
    repeated: int
    text_bytes: int

    @property
    def exchange_bytes(self) -> int:
        """Everything of one exchange on an open connection, both directions, with one draft where there is one."""
        return self.question + sum(self.photo) + self.answer


@dataclass(frozen=True)
class Work:
    """Processor seconds of one exchange: device encoding; cloud restoring, answering, verifying a draft, error head."""

    encode_s: float
    restore_s: float
    answer_s: float
    verify_s: float
    head_s: float = 0.0


@dataclass(frozen=True)
class Times:
    """Seconds from the question to the first draft and to the final answer."""

    draft_s: float
    final_s: float


@dataclass(frozen=True)
class PullMessages:
    """Websocket messages of an ask-and-wait exchange, in bytes on the TCP stream.

    Attributes:
        question: QUESTION.
        chunks: per chunk that was sent, its messages; the first one holds IMAGE too.
        more: a request for the next chunk.
        answer, repeated: as in :class:`Messages`.
    """

    question: int
    chunks: tuple[tuple[int, ...], ...]
    more: int
    answer: int
    repeated: int


def pull_messages(encoded: EncodedImage, question: str, answer: Answer, target: int, chunks: int) -> PullMessages:
    """The messages of an exchange that ends after so many chunks, made by the real sessions of both ends.

    Args:
        encoded: the whole stream.
        question: as asked.
        answer: as it travels back.
        target: of the controller ``pull``.
        chunks: 1 to 4.
    """
    device = DeviceSession(encoded.bundle_hash)
    cloud = CloudSession(encoded.bundle_hash, frozenset(), needs_bundle=needs_bundle)
    device.start()
    _pass_up(device, cloud)
    _sent_down(cloud)
    device.ask(_QUESTION, _IMAGE, Question(question, PULL, target))
    asked = _pass_up(device, cloud)
    total, sent, more = len(encoded.segments), 0, 0
    device.announce_image(_IMAGE, encoded.strategy, encoded.header, total)
    sizes: list[tuple[int, ...]] = []
    for number in range(chunks):
        if number:
            cloud.send_more(_IMAGE, chunk_segments(total))
            more = _sent_down(cloud)
        end, messages = chunk_end(encoded, sent), []
        for group in grouped(encoded.segments[sent:end]):
            for segment in group:
                device.send_segment(_IMAGE, segment)
            sent += len(group)
            if sent == total:
                device.finish_image(_IMAGE)
            messages.append(_pass_up(device, cloud))
        sizes.append(tuple(messages))
    cloud.send_draft(_QUESTION, answer.text, answer.confidence, sent)
    draft = _sent_down(cloud)
    cloud.send_final(_QUESTION, answer.text, answer.confidence, sent)
    return PullMessages(asked, tuple(sizes), more, draft, _sent_down(cloud))


def pull_times(messages: PullMessages, work: Work, profile: LinkProfile, *, first_is_asked_for: bool = False) -> Times:
    """When answers arrive if every chunk but the first waits for a request.

    Meanwhile the cloud drafts, as it does in the other policy, and verifies the draft at the end.

    Args:
        messages: of the exchange.
        work: measured processor times.
        profile: the link.
        first_is_asked_for: a request for the first chunk too, one for each, which goes out as QUESTION arrives; in
            Heliograph the first chunk comes by itself.
    """
    up, down = LinkDirection(profile, up=True), LinkDirection(profile, up=False)
    asked_s = up.carry(0.0, messages.question).arrives_s
    ready_s = work.encode_s
    if first_is_asked_for:
        ready_s = max(ready_s, down.carry(asked_s, messages.more).arrives_s)
    patience_s = DRAFT_PATIENCE * (work.restore_s + work.answer_s)
    idle_s, draft_s, arrived_s = 0.0, None, 0.0
    for number, chunk in enumerate(messages.chunks):
        arrived_s = [up.carry(ready_s, size).arrives_s for size in chunk][-1]
        if number + 1 == len(messages.chunks):
            break
        ready_s = down.carry(arrived_s + work.head_s, messages.more).arrives_s  # the observer needs no idle model
        start_s = max(idle_s, arrived_s + patience_s)
        if start_s < ready_s + profile.one_way_delay_s:  # before the next chunk can be there
            made_s = work.restore_s + (work.answer_s if draft_s is None else work.verify_s)
            idle_s = start_s + made_s
            if draft_s is None:
                draft_s = down.carry(idle_s, messages.answer).arrives_s
    start_s = max(arrived_s + work.head_s, idle_s) + work.restore_s
    if draft_s is None:
        final_s = down.carry(start_s + work.answer_s, messages.answer).arrives_s
        return Times(final_s, final_s)
    return Times(draft_s, down.carry(start_s + work.verify_s, messages.repeated).arrives_s)


def exchange_messages(encoded: EncodedImage, question: str, answer: Answer, key: bytes = b"") -> Messages:
    """The messages of one exchange, made by the real sessions of both ends.

    Args:
        encoded: the prefix that is sent, whole.
        question: as asked.
        answer: as it travels back.
        key: authenticates the session; empty for none.
    """
    device = DeviceSession(encoded.bundle_hash, key=key, nonce=bytes(NONCE_BYTES) if key else b"")
    cloud = CloudSession(encoded.bundle_hash, frozenset(), keys=[key] if key else (), needs_bundle=needs_bundle)
    device.start()
    greeting = _pass_up(device, cloud) + _sent_down(cloud)
    device.ask(_QUESTION, _IMAGE, Question(question, FIXED, NO_LIMIT))
    asked = _pass_up(device, cloud)
    photo = tuple(_taken(data, cloud) for data in photo_messages(device, _IMAGE, encoded))
    cloud.send_draft(_QUESTION, answer.text, answer.confidence, len(encoded.segments))
    draft = _sent_down(cloud)
    cloud.send_final(_QUESTION, answer.text, answer.confidence, len(encoded.segments))
    repeated = _sent_down(cloud)
    text_bytes = len(question.encode()) + len(answer.text.encode())
    return Messages(greeting, asked, photo, draft, repeated, text_bytes)


def exchange_times(messages: Messages, work: Work, profile: LinkProfile, *, embedded: bool) -> Times:
    """When answers arrive, in seconds after the question.

    Args:
        messages: of the exchange.
        work: measured processor times.
        profile: the link.
        embedded: whether a part of the photo can be answered from; only then is there a draft before the end.
    """
    up, down = LinkDirection(profile, up=True), LinkDirection(profile, up=False)
    up.carry(0.0, messages.question)
    arrivals = [up.carry(work.encode_s, size).arrives_s for size in messages.photo]
    patience_s = DRAFT_PATIENCE * (work.restore_s + work.answer_s)
    idle_s, draft_s, seen = 0.0, None, 0
    while embedded and (start_s := max(idle_s, arrivals[seen] + patience_s)) < arrivals[-1]:
        seen = sum(arrival_s <= start_s for arrival_s in arrivals)
        if draft_s is None:
            idle_s = start_s + work.restore_s + work.answer_s
            draft_s = down.carry(idle_s, messages.answer).arrives_s
        else:  # the model lets drafts agree: verifying one is enough, and repeating it costs no bytes
            idle_s = start_s + work.restore_s + work.verify_s
    start_s = max(arrivals[-1], idle_s) + work.restore_s
    if draft_s is None:
        final_s = down.carry(start_s + work.answer_s, messages.answer).arrives_s
        return Times(final_s, final_s)
    return Times(draft_s, down.carry(start_s + work.verify_s, messages.repeated).arrives_s)


def _pass_up(device: DeviceSession, cloud: CloudSession) -> int:
    return _taken(device.bytes_to_send(), cloud)


def _taken(data: bytes, cloud: CloudSession) -> int:
    """Bytes of one message on the TCP stream; the cloud has read it."""
    cloud.receive(data, 0.0)
    return client_message_bytes(len(data))


def _sent_down(cloud: CloudSession) -> int:
    return server_message_bytes(len(cloud.bytes_to_send()))
