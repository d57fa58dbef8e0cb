"""ICC profiles to sRGB, which is what models were trained on: Display P3 or ProPhoto levels read as sRGB look pale.

A profile that changes nothing worth speaking of, as every writing of sRGB itself, leaves every byte as it is. So does
one that is damaged or belongs to another kind of picture.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Conversion = Callable[["Image", "Image"], "Image"]
"""Takes a strip as it was decoded, and the same in RGB over white (which may be changed); gives it in sRGB."""

_SAME_LEVELS = 2
"""Largest difference, of 255 levels, that two writings of sRGB show between each other."""

_PROBE_STEPS = 17
_GREY_BANDS = frozenset(("1", "L", "A", "I", "F"))


def srgb_conversion(profile: bytes | None) -> Conversion:
    """What turns colours of ``profile`` into sRGB."""
    if not profile:
        return _unchanged
    try:
        return _conversion(profile)
    except Exception:  # a profile is an extra: lcms refuses damaged ones, and Pillow may have been built without it
        return _unchanged


def _unchanged(strip: Image, rgb: Image) -> Image:
    return rgb


def _conversion(profile: bytes) -> Conversion:
    from PIL import ImageCms

    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    space = opened.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[space]
    transform = ImageCms.buildTransform(opened, target, mode, "RGB")
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return _unchanged

    def convert(strip: Image, rgb: Image) -> Image:
        if _profile_mode(strip) != mode:
            return rgb
        if mode == "CMYK":
            return _applied(transform, strip)
        if mode == "L":
            return _applied(transform, rgb.getchannel(0))
        ImageCms.applyTransform(rgb, transform, inPlace=True)
        return rgb

    return convert


def _profile_mode(strip: Image) -> str:
    """The kind of picture whose profiles are meant for this one."""
    if strip.mode == "CMYK":
        return "CMYK"
    grey = all(band in _GREY_BANDS or band.startswith("I;") for band in strip.getbands())
    return "L" if grey else "RGB"


def _applied(transform: Any, picture: Image) -> Image:
    from PIL import ImageCms

    converted = ImageCms.applyTransform(picture, transform)
    assert converted is not None
    return converted


def _changes_nothing(transform: Any, mode: str) -> bool:
    """Whether colours from all over the space keep their levels."""
    from PIL import Image as images

    if mode == "L":
        levels = np.arange(256, dtype=np.uint8)[None]
        wanted = np.repeat(levels[..., None], 3, axis=2)
    else:
        steps = np.rint(np.linspace(0, 255, _PROBE_STEPS)).astype(np.uint8)
        levels = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        wanted = levels
    made = np.asarray(_applied(transform, images.fromarray(levels)))
    return bool(np.abs(made.astype(int) - wanted.astype(int)).max() <= _SAME_LEVELS)
