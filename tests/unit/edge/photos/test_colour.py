"""ICC profiles to sRGB: the judge is lcms over the whole picture, and arithmetic."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from heliograph.bench.hardening.photo_files import DISPLAY_P3, rgb_profile
from heliograph.edge.photos import rows as photo_rows
from heliograph.edge.photos.file import load_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03134, 0.00009, 0.82490))  # CIE XYZ (D50)
RANDOM = np.random.default_rng(5)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, (50, 60, 3), dtype=np.uint8))


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


def profile_of(space: bytes, connection: bytes, name: bytes, content: bytes) -> bytes:
    """An ICC profile (version 2) with one table and the white point."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)  # 0.9642, 1, 0.8249
    place = 128 + 4 + 2 * 12
    table = (
        b"wtpt" + struct.pack(">II", place, len(white)) + name + struct.pack(">II", place + len(white), len(content))
    )
    data = struct.pack(">I", 2) + table + white + content + bytes(-len(content) % 4)
    head = struct.pack(">I4s4s4s4s4s", 128 + len(data), bytes(4), b"\2\x10\0\0", b"prtr", space, connection)
    return (head + bytes(12) + b"acsp" + bytes(28) + white[8:]).ljust(128, b"\0") + data


def cmyk_profile() -> bytes:
    """Inks that darken by a table of two levels each; black ink is a green here, so that no usual reading fits."""
    straight = bytes(range(256))
    corners = bytearray()
    for inks in itertools.product((0, 1), repeat=4):
        cyan, magenta, yellow, black = inks
        light = 255 - 50 * sum(inks)
        corners += bytes([light, 128 - 60 * cyan + 60 * magenta - 40 * black, 128 + 70 * yellow - 40 * cyan])
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + straight * 4 + bytes(corners) + straight * 3
    return profile_of(b"CMYK", b"Lab ", b"A2B0", table)


def test_inks_become_srgb_by_their_profile() -> None:
    profile = cmyk_profile()
    inks = Image.fromarray(RANDOM.integers(0, 256, (50, 60, 4), dtype=np.uint8), "CMYK")
    out = io.BytesIO()
    inks.save(out, "TIFF", icc_profile=profile)
    wanted = by_lcms(inks, profile)
    assert np.abs(wanted.astype(int) - np.asarray(inks.convert("RGB"))).mean() > 20
    assert np.array_equal(np.asarray(load_photo(out.getvalue())), wanted)
    for other in (PHOTO, PHOTO.convert("L")):  # whose profile is another kind of picture's
        assert load_photo(png(other, profile)).tobytes() == other.convert("RGB").tobytes()
    plain, foreign = io.BytesIO(), io.BytesIO()
    inks.save(plain, "TIFF")
    inks.save(foreign, "TIFF", icc_profile=rgb_profile(DISPLAY_P3, 2.2))
    assert load_photo(foreign.getvalue()).tobytes() == load_photo(plain.getvalue()).tobytes()


@pytest.mark.parametrize(("levels", "changes"), [(0, False), (2, False), (3, True)])
def test_two_levels_are_rounding_and_three_are_another_space(levels: int, changes: bool) -> None:
    """A grey curve that is sRGB's, so many levels later; lcms over every level says by how much it changes them."""
    light = np.clip((np.arange(256) + levels) / 255, 0, 1)
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    curve = b"curv" + bytes(4) + struct.pack(">I256H", 256, *np.rint(linear * 65535).astype(int).tolist())
    profile = profile_of(b"GRAY", b"XYZ ", b"kTRC", curve)
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    wanted = by_lcms(ramp, profile)
    assert np.abs(wanted.astype(int) - np.arange(256)[None, :, None]).max() == levels
    loaded = np.asarray(load_photo(png(ramp, profile)))
    assert np.array_equal(loaded, wanted if changes else np.asarray(ramp.convert("RGB")))


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
