"""ICC profiles to sRGB: the judge is lcms over the whole picture, and arithmetic."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from heliograph.bench.hardening.photo_files import DISPLAY_P3, rgb_profile
from heliograph.edge.photos import rows as photo_rows
from heliograph.edge.photos.file import load_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03134, 0.00009, 0.82490))  # CIE XYZ (D50)
PHOTO = Image.fromarray(np.random.default_rng(5).integers(0, 256, (50, 60, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def small_photos_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_rows, "MIN_PIXELS", 1)


def png(image: Image.Image, profile: bytes) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", icc_profile=profile)
    return out.getvalue()


def by_lcms(image: Image.Image, profile: bytes) -> np.ndarray:
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(image, opened, ImageCms.createProfile("sRGB"), outputMode="RGB"))


@pytest.mark.parametrize("profile", [rgb_profile(DISPLAY_P3, 2.2), rgb_profile(PROPHOTO, 1.8)])
@pytest.mark.parametrize("strip_pixels", [1 << 18, 500])
def test_wide_colours_become_srgb(profile: bytes, strip_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_rows, "_STRIP_PIXELS", strip_pixels)
    wanted = by_lcms(PHOTO, profile)
    assert np.abs(wanted.astype(int) - np.asarray(PHOTO)).mean() > 5
    assert np.array_equal(np.asarray(load_photo(png(PHOTO, profile))), wanted)
    rgba = PHOTO.convert("RGBA")
    assert np.array_equal(np.asarray(load_photo(png(rgba, profile))), wanted)
    palette = PHOTO.quantize(16)
    assert np.array_equal(np.asarray(load_photo(png(palette, profile))), by_lcms(palette.convert("RGB"), profile))


def test_display_p3_by_arithmetic() -> None:
    """Linear light through both sets of primaries (CIE XYZ, D50), and the curves of both spaces."""
    srgb_primaries = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
    level = np.array([200, 120, 90])
    linear = np.linalg.solve(np.array(srgb_primaries).T, np.array(DISPLAY_P3).T @ (level / 255) ** 2.2)
    wanted = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    loaded = load_photo(png(Image.new("RGB", (4, 4), tuple(level.tolist())), rgb_profile(DISPLAY_P3, 2.2)))
    assert np.abs(np.array(loaded.getpixel((1, 1))) - wanted).max() <= 1.5


@pytest.mark.parametrize(
    "profile",
    [
        SRGB,
        rgb_profile(DISPLAY_P3, 2.2)[:300],
        b"no profile at all" * 20,
        b"\0" * 200,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
    ],
)
def test_srgb_and_damaged_profiles_change_no_byte(profile: bytes) -> None:
    assert load_photo(png(PHOTO, profile)).tobytes() == PHOTO.tobytes()


def grey_profile(gamma: float) -> bytes:
    """Of grey levels, from the parts of an RGB one: one curve, and the white point."""
    data = bytearray(rgb_profile(DISPLAY_P3, gamma))
    data[16:20] = b"GRAY"
    place = data.index(b"rTRC")
    data[place : place + 4] = b"kTRC"
    return bytes(data)


def test_grey_profiles() -> None:
    grey = PHOTO.convert("L")
    profile = grey_profile(1.0)
    wanted = by_lcms(grey, profile)
    assert np.abs(wanted[..., 0].astype(int) - np.asarray(grey)).mean() > 20
    assert np.array_equal(np.asarray(load_photo(png(grey, profile))), wanted)
    assert load_photo(png(PHOTO, profile)).tobytes() == PHOTO.tobytes()  # of another kind of picture
    colour = rgb_profile(DISPLAY_P3, 2.2)
    assert load_photo(png(grey, colour)).tobytes() == grey.convert("RGB").tobytes()


def test_a_profile_in_a_jpeg_that_is_turned_and_read_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.edge.photos import jpeg as photo_jpeg

    profile = rgb_profile(PROPHOTO, 1.8)
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", (64, 32), (90, 160, 60)).save(out, "JPEG", quality=95, icc_profile=profile, exif=exif.tobytes())
    monkeypatch.setattr(photo_jpeg, "DECODING_BYTES", 32 * 16 * 8)
    loaded = load_photo(out.getvalue())
    assert loaded.size == (16, 32)
    wanted = by_lcms(Image.new("RGB", (1, 1), (90, 160, 60)), profile)[0, 0]
    assert np.abs(np.array(loaded.getpixel((8, 8))).astype(int) - wanted).max() <= 4
