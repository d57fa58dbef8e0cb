"""A region of the original photo as a picture or stream of its own (arXiv 2512.16349, second stage).

The cloud names it in 1/1024 of the photo's width and height, because it may know neither; the device cuts it from the
upright photo at full size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.edge.photo import load_photo
from heliograph.errors import UsageError
from heliograph.protocol.limits import REGION_SCALE
from heliograph.strategies.base import Setting
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.edge.device import Device

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class RegionSending:
    """How regions travel.

    Attributes:
        strategy: a picture's, or a codec's for the region's own visual tokens.
        setting: knobs that differ from the strategy's defaults.
    """

    strategy: str = "webp"
    setting: Setting | None = None


def pixel_box(box: Box, width: int, height: int) -> Box:
    """The smallest box of whole pixels around one in 1/1024 of the photo, clipped to it.

    Args:
        box: (left, top, right, bottom).
        width, height: of the photo in pixels.

    Raises:
        UsageError: the box is empty, or lies outside the photo.
    """
    left, top, right, bottom = box
    if not (left < right and top < bottom and left < REGION_SCALE and top < REGION_SCALE and right > 0 and bottom > 0):
        raise UsageError
    return (
        max(0, left * width // REGION_SCALE),
        max(0, top * height // REGION_SCALE),
        min(width, -(-right * width // REGION_SCALE)),
        min(height, -(-bottom * height // REGION_SCALE)),
    )


def region_encoder(device: Device, photo: Path | str | Image, sending: RegionSending) -> Callable[[Box], EncodedImage]:
    """What cuts and encodes a region of one photo; to be called in a thread.

    Args:
        device: encodes.
        photo: a file, read again for the region, or an RGB picture.
        sending: how the region travels.
    """

    def encode(box: Box) -> EncodedImage:
        whole = load_photo(photo) if isinstance(photo, str | Path) else photo
        crop = whole.crop(pixel_box(box, *whole.size))
        del whole  # a device has memory for one of them at a time
        return device.encode(crop, sending.strategy, sending.setting)

    return encode
