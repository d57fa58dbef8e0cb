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

from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.edge.exchange import MESSAGE_BYTES
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.serving.patience import DRAFT_PATIENCE
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
        repeated: the final answer where a draft had said the same.
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
    """Processor seconds of one exchange: device encoding; cloud restoring, answering, verifying a draft."""

    encode_s: float
    restore_s: float
    answer_s: float
    verify_s: float


@dataclass(frozen=True)
class Times:
    """Seconds from the question to the first draft and to the final answer."""

    draft_s: float
    final_s: float


def exchange_messages(encoded: EncodedImage, question: str, answer: Answer) -> Messages:
    """The messages of one exchange, made by the real sessions of both ends.

    Args:
        encoded: the prefix that is sent, whole.
        question: as asked.
        answer: as it travels back.
    """
    device, cloud = DeviceSession(encoded.bundle_hash), CloudSession(encoded.bundle_hash, frozenset())
    device.start()
    greeting = _pass_up(device, cloud) + _pass_down(cloud, device)
    device.ask(_QUESTION, _IMAGE, question, controller="fixed", target=0)
    asked = _pass_up(device, cloud)
    device.announce_image(_IMAGE, encoded.strategy, encoded.header)
    photo: list[int] = []
    groups = grouped(encoded.segments)
    for number, group in enumerate(groups, start=1):
        for segment in group:
            device.send_segment(_IMAGE, segment)
        if number == len(groups):
            device.finish_image(_IMAGE)
        photo.append(_pass_up(device, cloud))
    cloud.send_draft(_QUESTION, answer.text, answer.confidence, len(encoded.segments))
    draft = _pass_down(cloud, device)
    cloud.send_final(_QUESTION, answer.text, answer.confidence, len(encoded.segments))
    repeated = _pass_down(cloud, device)
    text_bytes = len(question.encode()) + len(answer.text.encode())
    return Messages(greeting, asked, tuple(photo), draft, repeated, text_bytes)


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


def grouped(segments: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Segments as the device joins them to messages; one empty group where there are none."""
    groups: list[list[bytes]] = [[]]
    for segment in segments:
        if sum(map(len, groups[-1])) >= MESSAGE_BYTES:
            groups.append([])
        groups[-1].append(segment)
    return list(groups)


def _pass_up(device: DeviceSession, cloud: CloudSession) -> int:
    data = device.bytes_to_send()
    cloud.receive(data, 0.0)
    return client_message_bytes(len(data))


def _pass_down(cloud: CloudSession, device: DeviceSession) -> int:
    data = cloud.bytes_to_send()
    device.receive(data, 0.0)
    return server_message_bytes(len(data))
