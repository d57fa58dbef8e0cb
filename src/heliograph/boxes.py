"""Boxes of a photo in its pixels and as they travel, which are never taken for one another. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

from heliograph.errors import UsageError

REGION_SCALE = 1024
"""Regions travel in 1/1024 of the photo's width and height: the cloud need not know its size in pixels."""


class PixelBox(NamedTuple):
    """A box in pixels of one photo; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


class WireBox(NamedTuple):
    """A box in 1/1024 of a photo's width and height; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


def wire_box(box: PixelBox, width: int, height: int) -> WireBox:
    """The smallest box in 1/1024 of the photo around one of pixels.

    Args:
        box: inside the photo.
        width, height: of the photo in pixels.
    """
    left, top, right, bottom = box
    return WireBox(
        left * REGION_SCALE // width,
        top * REGION_SCALE // height,
        min(REGION_SCALE, -(-right * REGION_SCALE // width)),
        min(REGION_SCALE, -(-bottom * REGION_SCALE // height)),
    )


def pixel_box(box: WireBox, width: int, height: int) -> PixelBox:
    """The smallest box of whole pixels around one in 1/1024 of the photo, clipped to it.

    Args:
        box: may reach beyond the photo.
        width, height: of the photo in pixels.

    Raises:
        UsageError: the box is empty, or lies outside the photo.
    """
    left, top, right, bottom = box
    if not (left < right and top < bottom and left < REGION_SCALE and top < REGION_SCALE and right > 0 and bottom > 0):
        raise UsageError.of_argument("box", "a box with an area, some of it within the photo", tuple(box))
    return PixelBox(
        max(0, left * width // REGION_SCALE),
        max(0, top * height // REGION_SCALE),
        min(width, -(-right * width // REGION_SCALE)),
        min(height, -(-bottom * height // REGION_SCALE)),
    )
