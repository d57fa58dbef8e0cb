"""Picture geometry and decoding that device and cloud share. Pillow is imported when a picture is first touched.

Pictures from the network are opened with one expected format only and refused by what decoding them would hold, which
their headers tell, so that a file of a few bytes cannot make the cloud take gigabytes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from heliograph.errors import StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.strategies.baseline.picture_frames import FRAME_FORMATS, Frame
from heliograph.strategies.baseline.picture_memory import decoding_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PICTURE_SIDE = 4096
"""Pixels; no strategy sends a larger picture and no cloud opens one."""

MAX_DECODING_BYTES = 210_000_000
"""Held while a picture is decoded: what the largest one that a strategy writes takes, a WebP of 4096 x 4096 pixels."""

MAX_PICTURE_BYTES = 64 * 2**20
"""More than any picture of the largest side that a strategy writes (base64 RGB of 4096 x 4096 pixels)."""


def to_rgb(image: Image) -> Image:
    """An 8-bit RGB picture; transparency is laid over white, as the image processors of transformers do."""
    from PIL import Image as images

    if image.mode == "RGB" and image.info.get("transparency") is None:
        return image
    if "A" in image.getbands() or "a" in image.getbands() or image.info.get("transparency") is not None:
        layer = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        background = images.new("RGBA", layer.size, (255, 255, 255, 255))
        return images.alpha_composite(background, layer).convert("RGB")
    return image.convert("RGB")


def longest_edge_size(width: int, height: int, longest_edge: int) -> tuple[int, int]:
    """(width, height) after scaling to ``longest_edge``, shorter edge rounded down to even-or-up as Idefics3 does."""
    aspect_ratio = width / height
    if width >= height:
        width, height = longest_edge, int(longest_edge / aspect_ratio)
        height += height % 2
    else:
        width, height = int(longest_edge * aspect_ratio), longest_edge
        width += width % 2
    return max(width, 1), max(height, 1)


def shrunk(image: Image, longest_edge: int) -> Image:
    """The picture with its longest edge at most ``longest_edge`` pixels, aspect kept (Lanczos); never enlarged."""
    from PIL import Image as images

    width, height = image.size
    if max(width, height) <= longest_edge:
        return image
    scale = longest_edge / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return image.resize(size, images.Resampling.LANCZOS)


def squashed(image: Image, side: int) -> Image:
    """``side`` x ``side`` pixels by Idefics3's two steps: longest edge first, then both edges (Lanczos)."""
    from PIL import Image as images

    step = image.resize(longest_edge_size(*image.size, side), images.Resampling.LANCZOS)
    return step.resize((side, side), images.Resampling.LANCZOS)


def decode_picture(data: bytes, picture_format: str) -> Image:
    """An RGB picture from bytes that a stranger sent.

    Raises:
        StreamDamagedError: not a whole picture of ``picture_format``, larger than ``MAX_PICTURE_SIDE``, or one that
            takes more than ``MAX_DECODING_BYTES`` to decode.
    """
    from PIL import Image as images

    file = io.BytesIO(data)
    try:
        with images.open(file, formats=(picture_format,)) as image:
            too_large = max(image.size) > MAX_PICTURE_SIDE
            if too_large or decoding_bytes(image, file, len(data)) > MAX_DECODING_BYTES:
                raise StreamDamagedError(StreamFault.PICTURE)
            if image.format in FRAME_FORMATS:
                frame = Frame(image)
                return to_rgb(frame.strip(0, frame.size[1]))
            image.load()
            return to_rgb(image)
    except StreamDamagedError:
        raise
    except Exception as error:  # Pillow's readers raise almost anything on damaged input
        raise StreamDamagedError(StreamFault.PICTURE) from error
