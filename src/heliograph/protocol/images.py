"""The photos of a session as both ends count them: sizes and flags, never the pixels or segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from heliograph.errors import HeliographError, PayloadTooLargeError, TooManyError
from heliograph.protocol.frames import HeldImage
from heliograph.protocol.limits import MAX_IMAGE_PAYLOAD_BYTES, MAX_IMAGES, MAX_SEGMENTS_PER_IMAGE


@dataclass(slots=True)
class ImageCount:
    """One photo: what has travelled and where its stream stands."""

    payload_bytes: int
    segments: int = 0
    finished: bool = False
    enough: bool = False

    def add_segment(self, size: int) -> None:
        """Count a segment of ``size`` bytes.

        Raises:
            PayloadTooLargeError: the photo would exceed its bytes or its number of segments.
        """
        if self.payload_bytes + size > MAX_IMAGE_PAYLOAD_BYTES or self.segments >= MAX_SEGMENTS_PER_IMAGE:
            raise PayloadTooLargeError
        self.payload_bytes += size
        self.segments += 1


class ImageBook:
    """Photos held now. Ids increase, so an id below ``next_id`` that is not held was forgotten or refused."""

    def __init__(self) -> None:
        self._images: dict[int, ImageCount] = {}
        self.next_id = 0

    def __contains__(self, image_id: int) -> bool:
        return image_id in self._images

    @property
    def last_id(self) -> int:
        """The id used last; -1 before the first photo."""
        return self.next_id - 1

    def is_new(self, image_id: int) -> bool:
        """True for an id that no photo has had so far."""
        return image_id >= self.next_id

    def get(self, image_id: int) -> ImageCount | None:
        """The photo, or None where it is not held."""
        return self._images.get(image_id)

    def held(self, image_id: int) -> ImageCount:
        """The photo, which the caller knows to be held."""
        return self._images[image_id]

    def check_room(self) -> None:
        """Raise TooManyError where every place is taken."""
        if len(self._images) >= MAX_IMAGES:
            raise TooManyError

    def add(self, image_id: int, header_bytes: int) -> None:
        """Hold a photo with a new id."""
        self.next_id = image_id + 1
        self._images[image_id] = ImageCount(payload_bytes=header_bytes)

    def refuse(self, image_id: int) -> None:
        """Use the id up without holding the photo."""
        self.next_id = image_id + 1

    def remove(self, image_id: int) -> bool:
        """Free a place; False where the photo was not held."""
        return self._images.pop(image_id, None) is not None

    def clear(self) -> None:
        """Free every place."""
        self._images.clear()

    def resume(self) -> Iterator[HeldImage]:
        """What is held, for a session that is taken up again: there every photo is wanted until enough is said."""
        for image_id, image in sorted(self._images.items()):
            image.enough = False
            yield HeldImage(image_id, image.segments, image.finished)


@dataclass
class SessionMemory:
    """What a session that is taken up again on another connection still knows; its questions are asked anew.

    Attributes:
        images: photos and the ids that were used.
        refused: why photos were refused or forgotten, by id.
        next_question_id: the lowest id that no question has had.
    """

    images: ImageBook = field(default_factory=ImageBook)
    refused: dict[int, type[HeliographError]] = field(default_factory=dict)
    next_question_id: int = 0
