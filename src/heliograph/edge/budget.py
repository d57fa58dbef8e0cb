"""What one question may cost in payload bytes, and what it has cost: photo and regions, over every connection."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.edge.streams import PhotoStream
from heliograph.types import EncodedImage


@dataclass
class PayloadAccount:
    """Payload bytes of one question. The bound holds for two sums at once, so that neither end ever sees more:

    * what the question sends: header and segments of the photo and of regions, on whatever connection, and again where
      a connection broke and the cloud had not kept them;
    * what the cloud holds of the photo, whoever asked for it, with the region behind it. That is how the cloud counts.

    Attributes:
        max_bytes: bound of either sum; None for none.
        spent_bytes: handed to connections so far, less what is known never to have left this machine.
    """

    max_bytes: int | None = None
    spent_bytes: int = 0
    _on_connection: int = 0

    # ---- what was spent --------------------------------------------------------------------------------
    def enter_connection(self) -> None:
        """What follows goes out over a connection that this question has not used yet, or uses again."""
        self._on_connection = 0

    def spend(self, size: int) -> None:
        """Count bytes that were handed to the connection."""
        self.spent_bytes += size
        self._on_connection += size

    def refund(self, unsent: int) -> None:
        """The connection broke with so many payload bytes still here, those of earlier questions included.

        What was handed over last is what stayed, so this question gets back at most what it handed over there.
        """
        back = min(unsent, self._on_connection)
        self.spent_bytes -= back
        self._on_connection -= back

    # ---- what may still be sent ------------------------------------------------------------------------
    def takes(self, stream: PhotoStream, encoded: EncodedImage) -> bool:
        """Whether the next segment of the photo, with its header where that was not sent, keeps within the bound."""
        if self.max_bytes is None or stream.sent >= len(encoded.segments):
            return True
        size = len(encoded.segments[stream.sent]) + (0 if stream.announced else len(encoded.header))
        return max(self.spent_bytes, stream.sent_bytes) + size <= self.max_bytes

    def takes_crop(self, crop: PhotoStream, encoded: EncodedImage, photo: PhotoStream) -> bool:
        """Whether all that is missing of a region's stream keeps within the bound: part of a picture is no use."""
        if self.max_bytes is None:
            return True
        missing = encoded.payload_bytes - crop.sent_bytes
        return max(self.spent_bytes, photo.sent_bytes) + missing <= self.max_bytes

    def cloud_sees_limit(self, stream: PhotoStream) -> bool:
        """Whether the cloud, which counts what it holds of the photo, knows by itself that nothing follows."""
        return self.max_bytes is not None and stream.sent_bytes >= self.max_bytes

    def segments_within(self, stream: PhotoStream, encoded: EncodedImage) -> int:
        """How many segments of the photo there will be when the bound is reached, those that were sent included."""
        if self.max_bytes is None:
            return len(encoded.segments)
        size = max(self.spent_bytes, stream.sent_bytes) + (0 if stream.announced else len(encoded.header))
        for count in range(stream.sent, len(encoded.segments)):
            size += len(encoded.segments[count])
            if size > self.max_bytes:
                return count
        return len(encoded.segments)
