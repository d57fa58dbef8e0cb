"""``rgb``: the model's input pixels, uncompressed, in base64 text: the full-cloud baseline of arXiv 2604.26508."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, ClassVar

from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Kind,
    Restored,
    Setting,
    Strategy,
    joined,
    sliced,
)
from heliograph.strategies.baseline.pictures import MAX_PICTURE_SIDE, squashed, to_rgb
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image


class RgbStrategy(Strategy):
    """Header: side in pixels, 2 bytes big endian. Payload: base64 of side x side x 3 bytes, row-major RGB."""

    name: ClassVar[str] = "rgb"
    default_setting: ClassVar[Setting] = {}
    kind: ClassVar[Kind] = Kind.PICTURE
    needs_bundle: ClassVar[bool] = False
    paper: ClassVar[str | None] = "2604.26508"

    def settings(self) -> tuple[Setting, ...]:
        """The one empty setting: the size is the model's."""
        return ({},)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The photo at the model's input size, as base64."""
        self.complete_setting(setting)
        side = tools.input_size
        text = base64.b64encode(squashed(to_rgb(photo), side).tobytes())
        return EncodedImage(self.name, side.to_bytes(2, "big"), sliced(text))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """The model's input picture, once all of it is there.

        Raises:
            StreamTruncatedError: pixels are missing.
            StreamDamagedError: the side is not allowed, or the text is too long or no base64.
        """
        from PIL import Image as images

        side = int.from_bytes(encoded.header, "big")
        if len(encoded.header) != 2 or not 1 <= side <= MAX_PICTURE_SIDE:
            raise StreamDamagedError(StreamFault.HEADER)
        expected_bytes = 4 * side * side  # three bytes of a pixel are four characters of base64
        text = joined(encoded.segments, expected_bytes)
        if text is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        if len(text) < expected_bytes:
            raise StreamTruncatedError().noted(f"rgb needs {expected_bytes} bytes, and {len(text)} are here.")
        try:
            pixels = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise StreamDamagedError(StreamFault.PICTURE) from error
        if len(pixels) != side * side * 3:
            raise StreamDamagedError(StreamFault.LENGTH)
        return Restored(image=images.frombytes("RGB", (side, side), pixels))
