"""A region of the original photo as a picture or stream of its own (arXiv 2512.16349, second stage).

The cloud names it in 1/1024 of the photo's width and height, because it may know neither; the device cuts it from the
upright photo at full size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.boxes import WireBox, pixel_box
from heliograph.edge.photos.file import load_photo
from heliograph.strategies.base import Setting
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.edge.device import Device


@dataclass(frozen=True)
class RegionSending:
    """How regions travel.

    Attributes:
        strategy: a picture's, or a codec's for the region's own visual tokens.
        setting: knobs that differ from the strategy's defaults.
    """

    strategy: str = "webp"
    setting: Setting | None = None


def region_encoder(
    device: Device, photo: Path | str | Image, sending: RegionSending
) -> Callable[[WireBox], EncodedImage]:
    """What cuts and encodes a region of one photo; to be called in a thread.

    Args:
        device: encodes.
        photo: a file, read again for the region, or an RGB picture.
        sending: how the region travels.
    """

    def encode(box: WireBox) -> EncodedImage:
        whole = load_photo(photo) if isinstance(photo, str | Path) else photo
        crop = whole.crop(pixel_box(box, *whole.size))
        del whole  # a device has memory for one of them at a time
        return device.encode(crop, sending.strategy, sending.setting)

    return encode
