"""What a device says of one photo and one question, as sizes: real sessions make the messages, nothing carries them.

::

    EncodedImage --grouped--> segments of one message --DeviceSession--> HELLO | QUESTION | IMAGE, segments ... -> bytes

The bench puts them on modelled links, and ``heliograph energy`` on modelled radios.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heliograph.edge.exchange import MESSAGE_BYTES
from heliograph.edge.streams import NO_LIMIT as NO_SEGMENT_LIMIT
from heliograph.edge.streams import half_way
from heliograph.protocol.session import DeviceSession
from heliograph.question import FIXED, NO_LIMIT, Question
from heliograph.types import EncodedImage

_IMAGE, _QUESTION = 1, 2


@dataclass(frozen=True)
class Uplink:
    """Messages from the device to the cloud in bytes of the protocol, without what carries them.

    Attributes:
        greeting: HELLO, once per connection.
        question: QUESTION.
        photo: IMAGE and segments, in order; the last one ends the photo.
    """

    greeting: int
    question: int
    photo: tuple[int, ...]

    @property
    def messages(self) -> tuple[int, ...]:
        """All of them on a fresh connection, in order."""
        return (self.greeting, self.question, *self.photo)


def uplink(encoded: EncodedImage, question: str) -> Uplink:
    """What a device sends on a fresh connection for one question about one photo.

    Args:
        encoded: the prefix that is sent, whole.
        question: as asked.

    Raises:
        QuestionEmptyError, QuestionTooLongError: it cannot be asked.
    """
    device = DeviceSession(encoded.bundle_hash)
    device.start()
    greeting = len(device.bytes_to_send())
    device.ask(_QUESTION, _IMAGE, Question(question, FIXED, NO_LIMIT))
    asked = len(device.bytes_to_send())
    return Uplink(greeting, asked, tuple(len(data) for data in photo_messages(device, _IMAGE, encoded)))


def photo_messages(device: DeviceSession, image_id: int, encoded: EncodedImage) -> Iterator[bytes]:
    """The messages of a photo that is sent whole and without a pause, sealed where an authenticated one is.

    Args:
        device: has greeted and asked.
        image_id: of the photo; not announced yet.
        encoded: the stream.
    """
    device.announce_image(image_id, encoded.strategy, encoded.header)
    groups = grouped(encoded.segments)
    sent, seal_at = 0, half_way(encoded.segments)
    for number, group in enumerate(groups, start=1):
        for segment in group:
            device.send_segment(image_id, segment)
        sent += len(group)
        if number == len(groups):
            device.finish_image(image_id)
        elif sent >= seal_at:
            device.seal()
            seal_at = NO_SEGMENT_LIMIT
        yield device.bytes_to_send()


def grouped(segments: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Segments as the device joins them to messages; one empty group where there are none."""
    groups: list[list[bytes]] = [[]]
    for segment in segments:
        if sum(map(len, groups[-1])) >= MESSAGE_BYTES:
            groups.append([])
        groups[-1].append(segment)
    return list(groups)
