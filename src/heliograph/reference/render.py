"""Pixels of a scene: photo-like, so that JPEG, WebP and AVIF meet what they meet in photos.

Backgrounds carry octaves of noise of nearly equal energy (the 1/f amplitude spectrum of natural images,
Field 1987), a light gradient, a focus that differs per scene, and sensor noise over everything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from heliograph.reference.scenes import COLOURS, SCENE_SIZE, Plate, SceneObject, ScenePlan, plan_scene

_SUPERSAMPLE = 3
_OCTAVES = (3, 6, 12, 24, 48, 96, 192)
UNOWNED = 255

Pixels = npt.NDArray[np.float32]
Owners = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Attributes:
        plan: what is in it.
        image: 512x512 RGB photo.
        owners: (512, 512) uint8, which thing each pixel shows: index into ``plan.objects``, then
            ``len(plan.objects) + i`` for plate i, 255 for background.
    """

    plan: ScenePlan
    image: Image.Image
    owners: Owners


def render_scene(seed: int) -> Scene:
    """The scene of ``seed`` with its pixels."""
    return render_plan(plan_scene(seed))


def render_plan(plan: ScenePlan) -> Scene:
    """Paint a plan; the same plan gives the same pixels under the same numpy and Pillow."""
    rng = np.random.Generator(np.random.PCG64(plan.seed))
    canvas = _background(rng)  # (512, 512, 3) f32
    owners = np.full((SCENE_SIZE, SCENE_SIZE), UNOWNED, np.uint8)
    grain = _octave_noise(rng, (24, 96), (1.0, 1.0))  # (512, 512) f32, surface texture of objects
    for index, thing in enumerate(plan.objects):
        _paint_object(canvas, owners, thing, index, grain, rng)
    for index, plate in enumerate(plan.plates):
        _paint_plate(canvas, owners, plate, len(plan.objects) + index, rng)
    _add_sensor_noise(canvas, rng)
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8), "RGB")
    return Scene(plan, image, owners)


def _octave_noise(rng: np.random.Generator, cells: tuple[int, ...], gains: tuple[float, ...]) -> Pixels:
    """Sum of bicubically enlarged random grids, each of zero mean and about unit spread; (512, 512) f32."""
    total = np.zeros((SCENE_SIZE, SCENE_SIZE), np.float32)
    for count, gain in zip(cells, gains, strict=True):
        small = Image.fromarray(rng.integers(0, 256, (count, count), dtype=np.uint8), "L")
        large = small.resize((SCENE_SIZE, SCENE_SIZE), Image.Resampling.BICUBIC)
        total += (np.asarray(large, np.float32) - 127.5) * np.float32(gain / 60.0)
    return total


def _background(rng: np.random.Generator) -> Pixels:
    canvas: Pixels
    base = (rng.integers(70, 166) + rng.integers(-26, 27, 3)).astype(np.float32)
    tilt = (rng.integers(-26, 27, (2, 1)) + rng.integers(-14, 15, (2, 3))).astype(np.float32)
    ramp = np.linspace(-1, 1, SCENE_SIZE, dtype=np.float32)
    canvas = (base + ramp[:, None, None] * tilt[0] + ramp[None, :, None] * tilt[1]).astype(np.float32)
    focus = float(rng.integers(25, 101)) / 100.0  # 1: sharp ground, 0: out of focus
    gains = tuple(13.0 * (1.0 if count <= 12 else focus ** (math.log2(count / 12))) for count in _OCTAVES)
    canvas += _octave_noise(rng, _OCTAVES, gains)[:, :, None]
    tint = rng.integers(-100, 101, 3).astype(np.float32) / 30.0
    canvas += _octave_noise(rng, (4, 16), (1.0, 0.7))[:, :, None] * tint
    np.clip(canvas, 12, 236, out=canvas)
    return canvas


def _paint_object(
    canvas: Pixels, owners: Owners, thing: SceneObject, index: int, grain: Pixels, rng: np.random.Generator
) -> None:
    mask = _shape_mask(thing.shape, thing.radius, thing.angle)  # (2r+1, 2r+1) f32 in 0..1
    jitter = rng.integers(-14, 15, 3).astype(np.float32)
    colour = np.asarray(COLOURS[thing.colour], np.float32) + jitter
    light = float(rng.integers(-14, 15))
    slope = np.linspace(-light, light, mask.shape[0], dtype=np.float32)[:, None, None]
    top, left = thing.y - thing.radius, thing.x - thing.radius
    rows, columns, inner = _clip_patch(top, left, mask.shape)
    alpha = mask[inner][:, :, None]
    fill = colour + slope[inner[0]] + grain[rows, columns, None] * 4.0
    canvas[rows, columns] += alpha * (fill - canvas[rows, columns])
    owners[rows, columns][mask[inner] > 0.5] = index


def _clip_patch(top: int, left: int, shape: tuple[int, ...]) -> tuple[slice, slice, tuple[slice, slice]]:
    """Where a patch lands on the canvas, and which part of the patch that is."""
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + shape[0], SCENE_SIZE), min(left + shape[1], SCENE_SIZE)
    inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    return slice(y0, y1), slice(x0, x1), inner


def _shape_mask(shape: str, radius: int, angle: int) -> Pixels:
    """Anti-aliased coverage of a shape in its square patch; (2 radius + 1, 2 radius + 1) f32."""
    side = 2 * radius + 1
    big = side * _SUPERSAMPLE
    image = Image.new("L", (big, big), 0)
    _DRAW[shape](ImageDraw.Draw(image), big / 2, big / 2 - 1)
    if shape not in ("circle", "ring"):
        image = image.rotate(angle, Image.Resampling.NEAREST)
    return np.asarray(image.reduce(_SUPERSAMPLE), np.float32) / 255.0


def _polygon(draw: ImageDraw.ImageDraw, centre: float, points: list[tuple[float, float]], r: float) -> None:
    draw.polygon([(centre + x * r, centre + y * r) for x, y in points], fill=255)


def _circle(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    draw.ellipse((c - r * 0.9, c - r * 0.9, c + r * 0.9, c + r * 0.9), fill=255)


def _square(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    _polygon(draw, c, [(-0.74, -0.74), (0.74, -0.74), (0.74, 0.74), (-0.74, 0.74)], r)


def _triangle(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    _polygon(draw, c, [(0.0, -0.92), (0.9, 0.7), (-0.9, 0.7)], r)


def _star(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    points = []
    for i in range(10):
        length, turn = (0.98, 0.4)[i % 2], math.pi * i / 5 - math.pi / 2
        points.append((length * math.cos(turn), length * math.sin(turn)))
    _polygon(draw, c, points, r)


def _cross(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    _polygon(draw, c, [(-0.3, -0.9), (0.3, -0.9), (0.3, 0.9), (-0.3, 0.9)], r)
    _polygon(draw, c, [(-0.9, -0.3), (0.9, -0.3), (0.9, 0.3), (-0.9, 0.3)], r)


def _ring(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    _circle(draw, c, r)
    draw.ellipse((c - r * 0.5, c - r * 0.5, c + r * 0.5, c + r * 0.5), fill=0)


def _heart(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    for x in (-0.42, 0.42):
        draw.ellipse((c + (x - 0.46) * r, c - 0.82 * r, c + (x + 0.46) * r, c + 0.1 * r), fill=255)
    _polygon(draw, c, [(-0.84, -0.18), (0.84, -0.18), (0.0, 0.9)], r)


def _moon(draw: ImageDraw.ImageDraw, c: float, r: float) -> None:
    _circle(draw, c, r)
    draw.ellipse((c - 0.3 * r, c - 0.85 * r, c + 1.3 * r, c + 0.75 * r), fill=0)


_DRAW = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "heart": _heart,
    "moon": _moon,
}


@lru_cache(maxsize=64)
def _plate_font(char_height: int) -> ImageFont.FreeTypeFont:
    """The shipped font at the size whose capitals are ``char_height`` pixels high."""
    path = Path(__file__).parent / "fonts" / "DejaVuSans-Bold-subset.ttf"
    return ImageFont.truetype(path, round(char_height / 0.73), layout_engine=ImageFont.Layout.BASIC)


def _paint_plate(canvas: Pixels, owners: Owners, plate: Plate, index: int, rng: np.random.Generator) -> None:
    left, top, right, bottom = plate.box
    width, height = right - left, bottom - top
    ground = np.asarray((226, 226, 214) if rng.integers(0, 2) else (244, 206, 90), np.float32)
    ground = ground + rng.integers(-8, 9, 3).astype(np.float32)
    text = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(text)
    for char, (x, y) in zip(plate.text, plate.character_centres(), strict=True):
        draw.text((x - left, y - top), char, fill=255, font=_plate_font(plate.char_height), anchor="mm")
    border = max(1, plate.char_height // 14)
    draw.rectangle((0, 0, width - 1, height - 1), outline=255, width=border)
    ink = np.asarray(text, np.float32)[:, :, None] / 255.0  # (h, w, 1)
    canvas[top:bottom, left:right] = ground + ink * (np.float32(24.0) - ground)
    owners[top:bottom, left:right] = index


def _add_sensor_noise(canvas: Pixels, rng: np.random.Generator) -> None:
    """Triangular noise of 1 to 4 grey levels' spread, per channel, in place."""
    spread = float(rng.integers(10, 41)) / 10.0
    noise = rng.integers(0, 256, (2, *canvas.shape), dtype=np.uint8).astype(np.float32)
    canvas += (noise[0] + noise[1] - 255.0) * np.float32(spread / 104.5)
