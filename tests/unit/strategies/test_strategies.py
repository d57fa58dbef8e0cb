"""Every strategy: what it sends, what comes back, from which prefixes, and what damaged streams meet."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.codec.fallback import written_by
from heliograph.codec.header import pack_header
from heliograph.errors import CodecMissingError, StreamDamagedError, StreamTruncatedError, UsageError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Restored, label, parse_setting
from heliograph.strategies.pictures import MAX_PICTURE_SIDE, decode_picture, longest_edge_size, squashed, to_rgb
from heliograph.strategies.random_drop import shuffled
from heliograph.strategies.token_bytes import read_records, token_records
from heliograph.types import EncodedImage, Grid, VisualTokens

GRID = Grid(8, 8)
WIDTH = 16
PIXELS = ("jpeg", "webp", "avif")
TOKENS = ("int8", "int4", "downsample", "random-drop")


class RoundingCodec:
    """A codec small enough to see through: four float16 rows per segment."""

    kind = "rounding"

    def takes(self, grid: Grid) -> bool:
        return grid == GRID

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        data = tokens.values.astype("<f2").tobytes()[: max_bytes or None]
        return EncodedImage("codec", b"h", tuple(data[i : i + 128] for i in range(0, len(data), 128)))

    def encode_watchfully(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> tuple[EncodedImage, bool]:
        return self.encode(tokens, max_bytes=max_bytes), False

    def encode_at(self, tokens: VisualTokens, token_bytes: int) -> EncodedImage:
        return self.encode(tokens, max_bytes=token_bytes * tokens.grid.tokens)

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        values = np.zeros(GRID.tokens * WIDTH, np.float32)
        found = np.frombuffer(b"".join(segments), "<f2")
        values[: len(found)] = found
        return VisualTokens(values.reshape(GRID.tokens, WIDTH), GRID)


@dataclass(frozen=True)
class Tools:
    grid: Grid = GRID
    hidden_size: int = WIDTH
    input_size: int = 128

    def codec(self, kind: str) -> Any:
        return RoundingCodec()

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        small = np.asarray(photo.convert("L").resize((8, 8)), np.float32).reshape(64, 1)
        waves = np.sin(np.arange(1, WIDTH + 1, dtype=np.float32))
        return VisualTokens((small / 50 - 2) * waves, GRID)


def photo(width: int = 300, height: int = 200, seed: int = 1) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 20 + 1, width // 20 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def difference(a: Image.Image, b: Image.Image) -> float:
    first, second = (np.asarray(i.resize((128, 128)).convert("RGB"), np.float32) for i in (a, b))
    return float(np.abs(first - second).mean())


def encoded_by(name: str, picture: Image.Image | None = None, **setting: Any) -> EncodedImage:
    return STRATEGIES.load(name)().encode(picture or photo(), Tools(), setting)


def restored_by(encoded: EncodedImage) -> Restored:
    return STRATEGIES.load(encoded.strategy)().restore(encoded, Tools())


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_has_its_pinned_number_and_settings_that_encode(name: str) -> None:
    strategy = STRATEGIES.load(name)()
    assert strategy.name == name
    assert type(strategy).wire_id is None
    sweep = strategy.settings()
    assert len({label(setting) for setting in sweep}) == len(sweep)
    for setting in (sweep[0], sweep[-1], strategy.default_setting):
        encoded = strategy.encode(photo(), Tools(), setting)
        assert encoded.strategy == name
        assert len(encoded.header) <= 16
        assert parse_setting(label(setting), strategy.default_setting) == setting


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_refuses_unknown_knobs_and_wrong_types(name: str) -> None:
    strategy = STRATEGIES.load(name)()
    with pytest.raises(UsageError):
        strategy.encode(photo(), Tools(), {"colour": 1})
    for knob in strategy.default_setting:
        for value in ("many", -1, 2**40):
            with pytest.raises(UsageError):
                strategy.encode(photo(), Tools(), {knob: value})


@pytest.mark.parametrize("name", [name for name in STRATEGIES.names() if name not in ("local", "rgb", "int8", "int4")])
def test_settings_grow_from_cheap_to_dear(name: str) -> None:
    sweep = STRATEGIES.load(name)().settings()
    cheapest, dearest = (encoded_by(name, **setting).payload_bytes for setting in (sweep[0], sweep[-1]))
    assert cheapest < dearest


# ---- pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PIXELS)
def test_picture_comes_back_alike_at_no_larger_size(name: str) -> None:
    restored = restored_by(encoded_by(name, size=150, quality=90)).image
    assert restored is not None
    assert restored.mode == "RGB"
    assert restored.size == (150, 100)
    assert difference(restored, photo()) < 6
    assert restored_by(encoded_by(name, size=512, quality=50)).image.size == (300, 200)  # never enlarged


@pytest.mark.parametrize("name", PIXELS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (500, 1), (1, 500)])
def test_odd_pictures(name: str, size: tuple[int, int]) -> None:
    assert restored_by(encoded_by(name, photo(*size), size=512, quality=50)).image.size == size


@pytest.mark.parametrize("name", PIXELS)
def test_carries_no_metadata(name: str) -> None:
    picture = photo()
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    picture.info.update(exif=exif.tobytes(), icc_profile=b"profile" * 40, comment=b"a secret place", xmp=b"secret")
    plain = b"".join(encoded_by(name).segments)
    assert b"".join(encoded_by(name, picture).segments) == plain


def test_jpeg_is_the_smallest_that_pillow_makes() -> None:
    for size, quality in ((32, 10), (256, 75)):
        ours = encoded_by("jpeg", size=size, quality=quality).payload_bytes
        small = photo()
        small.thumbnail((size, size), Image.Resampling.LANCZOS)
        for progressive in (False, True):
            out = io.BytesIO()
            small.save(out, "JPEG", quality=quality, optimize=True, progressive=progressive, subsampling=2)
            assert ours <= len(out.getvalue()) - 18


def test_progressive_jpeg_gets_better_with_every_slice_and_never_fails_after_its_first_scan() -> None:
    picture = photo(640, 640)
    encoded = encoded_by("jpeg", picture, size=640, quality=95)
    assert len(encoded.segments) > 8
    errors = []
    for count in range(len(encoded.segments) + 1):
        try:
            errors.append(difference(restored_by(encoded.prefix(count)).image, picture))
        except StreamTruncatedError:
            assert not errors
    assert len(errors) > len(encoded.segments) // 2
    assert errors[-1] < errors[len(errors) // 2] < errors[0]


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_other_pictures_need_every_byte(name: str) -> None:
    data = b"".join(encoded_by(name, size=64, quality=30).segments)
    for length in range(len(data)):
        with pytest.raises((StreamTruncatedError, StreamDamagedError)):
            restored_by(EncodedImage(name, b"", (data[:length],)))


def test_baseline_jpeg_prefix_is_truncated_not_half_grey() -> None:
    out = io.BytesIO()
    photo().save(out, "JPEG", quality=90)
    with pytest.raises(StreamTruncatedError):
        restored_by(EncodedImage("jpeg", b"", (out.getvalue()[:-40],)))


@pytest.mark.parametrize("name", PIXELS)
@settings(deadline=None)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_damaged_pictures_give_a_picture_or_a_named_error(name: str, place: int, value: int) -> None:
    data = bytearray(b"".join(encoded_by(name, size=48, quality=30).segments))
    data[place % len(data)] = value
    try:
        picture = restored_by(EncodedImage(name, b"", (bytes(data),))).image
    except (StreamDamagedError, StreamTruncatedError):
        return
    assert picture is not None
    assert max(picture.size) <= MAX_PICTURE_SIDE


@pytest.mark.parametrize("name", PIXELS)
def test_refuses_pictures_larger_than_any_that_is_sent(name: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (MAX_PICTURE_SIDE + 8, 16)).save(out, name.upper())
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage(name, b"", (out.getvalue(),)))


def test_refuses_a_jpeg_header_that_claims_gigapixels() -> None:
    data = bytearray(b"".join(encoded_by("jpeg", size=48, quality=30).segments))
    frame = max(data.find(b"\xff\xc2"), data.find(b"\xff\xc0"))
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage("jpeg", b"", (bytes(data),)))


def test_pictures_are_bounded_by_what_decoding_them_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest that each strategy writes is restored; one that takes more is refused before it is decoded."""
    from PIL import ImageFile

    from heliograph.strategies import pictures

    picture = Image.linear_gradient("L").resize((512, 512)).convert("RGB")
    progressive = 4 * 512 * 512 + 3 * 2 * 512 * 512
    for name, options, held in (
        ("jpeg", {"quality": 90}, 4 * 512 * 512),
        ("jpeg", {"quality": 90, "progressive": True, "subsampling": 0}, progressive),
        ("webp", {"quality": 90}, 12 * 512 * 512),
        ("avif", {"quality": 60, "subsampling": "4:2:0"}, round(8.25 * 512 * 512)),
    ):
        out = io.BytesIO()
        picture.save(out, name.upper(), **options)
        encoded = EncodedImage(name, b"", (out.getvalue(),))
        of_file = 0 if name == "jpeg" else 2 * len(out.getvalue())
        with monkeypatch.context() as patch:
            patch.setattr(pictures, "MAX_DECODING_BYTES", held + of_file)
            restored = restored_by(encoded).image
            assert restored is not None
            assert np.abs(np.asarray(restored).astype(int) - np.asarray(picture)).mean() < 4
            patch.setattr(pictures, "MAX_DECODING_BYTES", held + of_file - 1)
            patch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
            with pytest.raises(StreamDamagedError):
                restored_by(encoded)
        assert held * (MAX_PICTURE_SIDE // 512) ** 2 + of_file < pictures.MAX_DECODING_BYTES


def test_a_picture_of_another_format_is_damage() -> None:
    out = io.BytesIO()
    photo().save(out, "GIF")
    with pytest.raises(StreamDamagedError):
        decode_picture(out.getvalue(), "JPEG")


def test_rgb_restores_the_model_input_exactly_and_costs_base64() -> None:
    encoded = encoded_by("rgb")
    assert encoded.payload_bytes == 2 + 128 * 128 * 4
    assert restored_by(encoded).image.tobytes() == squashed(photo(), 128).tobytes()
    with pytest.raises(StreamTruncatedError):
        restored_by(encoded.prefix(len(encoded.segments) - 1))


@pytest.mark.parametrize(
    "encoded",
    [
        EncodedImage("rgb", b"", ()),
        EncodedImage("rgb", b"\x00\x00", ()),
        EncodedImage("rgb", b"\xff\xff", ()),
        EncodedImage("rgb", b"\x00\x02", (b"!" * 16,)),
        EncodedImage("rgb", b"\x00\x02", (b"A" * 17,)),
        EncodedImage("rgb", b"\x00\x02", (b"AAAAAAAAAAAAAA==",)),
        EncodedImage("jpeg", b"x", ()),
        EncodedImage("webp", b"", (b"RIFF\x04\x00\x00\x00WEBP",)),
        EncodedImage("int8", b"x", ()),
        EncodedImage("int8", b"", (b"abc",)),
        EncodedImage("int8", b"", (b"\x00" * 18 * 65,)),
        EncodedImage("int8", b"", (b"\xff\xff" + b"\x00" * 16,)),
        EncodedImage("int4", b"", (b"\x00" * 18,)),
        EncodedImage("int4", b"", (b"\x00" * 10 * 65,)),
        EncodedImage("downsample", b"", ()),
        EncodedImage("downsample", b"\x00", ()),
        EncodedImage("downsample", b"\x02", (b"\x00" * 18 * 5,)),
        EncodedImage("random-drop", b"\x01", ()),
        EncodedImage("random-drop", b"\x01\x02", (b"\x00" * 18 * 65,)),
    ],
)
def test_damage_has_a_name(encoded: EncodedImage) -> None:
    with pytest.raises(StreamDamagedError):
        restored_by(encoded)


# ---- tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["klt", "meta"])
def test_latent_strategies_pass_bytes_and_prefixes_to_the_codec(name: str) -> None:
    encoded = encoded_by(name, max_bytes=1024)
    assert sum(map(len, encoded.segments)) == 1024
    values = restored_by(encoded.prefix(2)).tokens.values
    expected = Tools().encode_tokens(photo()).values
    assert np.allclose(values.ravel()[:128], expected.ravel()[:128], atol=0.01)
    assert not values.ravel()[128:].any()


@pytest.mark.parametrize(("name", "levels", "record"), [("int8", 127, WIDTH + 2), ("int4", 7, WIDTH // 2 + 2)])
def test_uniform_is_within_half_a_step_and_fills_missing_tokens_with_the_mean(
    name: str, levels: int, record: int
) -> None:
    tokens = Tools().encode_tokens(photo()).values
    encoded = encoded_by(name)
    assert encoded.payload_bytes == 64 * record
    restored = restored_by(encoded).tokens.values
    step = np.abs(tokens).max(axis=1, keepdims=True) / levels
    assert (np.abs(restored - tokens) <= step * 0.57).all()  # half a step, and the scale's own rounding
    half = restored_by(encoded.prefix(32)).tokens.values
    assert np.array_equal(half[:32], restored[:32])
    assert np.allclose(half[32:], restored[:32].mean(axis=0), atol=1e-6)
    assert not restored_by(encoded.prefix(0)).tokens.values.any()


@given(st.integers(1, 9), st.sampled_from([4, 8]), st.integers(0, 2**32 - 1))
def test_records_of_any_width_come_back(width: int, bits: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(3, width)).astype(np.float32)
    rows = read_records(token_records(values, bits), width, 3, bits)
    step = np.abs(values).max(axis=1, keepdims=True) / ((1 << (bits - 1)) - 1)
    assert (np.abs(rows - values) <= step * 0.57).all()
    again = read_records(token_records(rows, bits), width, 3, bits)
    assert np.allclose(again, rows, atol=1e-2 * float(step.max()))


class WatchfulCodec(RoundingCodec):
    """Finds every photo strange, and restores nothing of it."""

    def encode_watchfully(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> tuple[EncodedImage, bool]:
        return self.encode(tokens, max_bytes=max_bytes), True

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        return VisualTokens(np.zeros((GRID.tokens, WIDTH), np.float32), GRID)


class HeaderCodec(RoundingCodec):
    """The same with a header that can be marked."""

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        room = ((max_bytes or 2048) - 3) // 2 * 2  # whole values beside the header
        return replace(super().encode(tokens, max_bytes=room), header=pack_header(1, GRID, GRID))


class FallbackTools(Tools):
    kinds = ("meta", "klt")

    def codec(self, kind: str) -> Any:
        if kind not in self.kinds:
            raise CodecMissingError
        return WatchfulCodec() if kind == "meta" else HeaderCodec()


def test_meta_leaves_strange_photos_to_klt_where_there_is_one() -> None:
    strategy = STRATEGIES.load("meta")()
    encoded = strategy.encode(photo(), FallbackTools(), {"max_bytes": 1024})
    assert encoded.strategy == "meta"
    restored = strategy.restore(encoded, FallbackTools()).tokens
    expected = Tools().encode_tokens(photo()).values
    assert restored is not None
    assert np.allclose(restored.values.ravel()[:500], expected.ravel()[:500], atol=0.01)
    alone = FallbackTools()
    object.__setattr__(alone, "kinds", ("meta",))
    assert strategy.encode(photo(), alone, {"max_bytes": 1024}).header == b"h"


def test_meta_leaves_photos_on_a_grid_that_it_has_not_learned_to_klt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchfulCodec, "takes", lambda self, grid: False)
    monkeypatch.setattr(WatchfulCodec, "encode", lambda *given, **named: pytest.fail("it must not be asked"))
    strategy = STRATEGIES.load("meta")()
    encoded = strategy.encode(photo(), FallbackTools(), {"max_bytes": 256})
    assert encoded.payload_bytes <= 256
    assert written_by(encoded)[0] == "klt"
    alone = FallbackTools()
    object.__setattr__(alone, "kinds", ("meta",))
    with pytest.raises(CodecMissingError):
        strategy.encode(photo(), alone, {"max_bytes": 256})


def test_random_drop_keeps_what_it_sent_and_differs_between_photos() -> None:
    one, other = encoded_by("random-drop", keep=20), encoded_by("random-drop", photo(seed=2), keep=20)
    assert len(one.segments) == 20
    assert one.header != other.header
    restored = restored_by(one).tokens.values
    whole = restored_by(encoded_by("int8")).tokens.values
    kept = (restored == whole).all(axis=1)
    assert kept.sum() == 20
    assert np.allclose(restored[~kept], whole[kept].mean(axis=0), atol=1e-6)


def test_shuffle_is_pinned_for_ever() -> None:
    assert shuffled(10, 12345).tolist() == [8, 6, 7, 2, 1, 3, 9, 5, 0, 4]
    assert sorted(shuffled(64, 7)) == list(range(64))


def test_downsample_restores_a_constant_exactly_and_a_ramp_nearly() -> None:
    ramp = Image.linear_gradient("L").convert("RGB")
    tokens = Tools().encode_tokens(ramp).values
    for side in (1, 2, 3, 5, 8):
        encoded = encoded_by("downsample", ramp, side=side)
        assert len(encoded.segments) == side * side
        restored = restored_by(encoded).tokens.values
        assert np.allclose(restored.mean(axis=0), tokens.mean(axis=0), atol=0.02)
    inner = slice(16, 48)
    fine = restored_by(encoded_by("downsample", ramp, side=4)).tokens.values
    assert np.abs(fine - tokens)[inner].max() < 0.1
    with pytest.raises(StreamTruncatedError):
        restored_by(encoded_by("downsample", side=4).prefix(15))


def test_local_sends_nothing_and_cannot_be_restored() -> None:
    encoded = encoded_by("local")
    assert encoded.payload_bytes == 0
    with pytest.raises(UsageError):
        restored_by(encoded)


@settings(deadline=None)
@given(st.integers(1, 64), st.integers(0, 2**32 - 1), st.floats(1e-6, 1e4))
def test_records_hold_any_tokens(count: int, seed: int, size: float) -> None:
    values = (np.random.default_rng(seed).standard_normal((count, WIDTH)) * size).astype(np.float32)
    restored = read_records(token_records(values), WIDTH, count)
    scale = np.abs(values).max(axis=1, keepdims=True) / 127
    assert (np.abs(restored - values) <= scale * 0.57 + 127 * 2**-25).all()


def test_records_of_zeros_are_zeros() -> None:
    assert not read_records(token_records(np.zeros((3, WIDTH), np.float32)), WIDTH, 3).any()


# ---- shared geometry --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (128, 128)),
        ((300, 200), (128, 86)),
        ((1, 9000), (1, 128)),
        ((9000, 1), (128, 1)),
        ((7, 9), (100, 128)),
    ],
)
def test_longest_edge_follows_the_processor(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert longest_edge_size(*size, 128) == expected


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert to_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    assert to_rgb(Image.new("LA", (2, 2), (10, 255))).getpixel((0, 0)) == (10, 10, 10)


def test_restored_holds_exactly_one_thing() -> None:
    for wrong in ({}, {"tokens": Tools().encode_tokens(photo()), "image": photo()}):
        with pytest.raises(ValueError, match="exactly one"):
            Restored(**wrong)


def test_prefix_of_a_stream_keeps_its_header() -> None:
    encoded = replace(encoded_by("downsample"), bundle_hash=b"12345678")
    assert encoded.prefix(3).header == encoded.header
