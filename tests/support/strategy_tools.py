"""What strategies need, small enough to see through: a codec that rounds, an encoder of waves, a photo of noise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from bottleneck_part import bottleneck_part
from code_part import SMALL_PART, small_part
from heliograph.codec.parts import Part
from heliograph.codec.transform import Transform
from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Restored
from heliograph.strategies.perception import ReadLine, Sight
from heliograph.strategies.towers import AttendedTokens, Shortening, ShortTokens
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens
from integer_codec import integer_codec

GRID = Grid(8, 8)
WIDTH = 16
DESCRIBED = "a red star top left, a sign K52 top center, an orange ring middle center, a blue ring bottom right."
READ = [
    ReadLine(text, 0.1 * place, 0.1, 0.1 * place + 0.05, 0.2, 0.01 * (place + 1), 0.9)
    for place, text in enumerate(["Exit 12", "Café", "OPEN", "no. 5", "CLOSED", "7", "to let", "SALE", "Tel. 555"])
]


def identity_transform() -> Transform:
    """A transform that leaves tokens as they are, in steps of 0.5."""
    channels, positions = np.eye(WIDTH, dtype=np.float32), np.eye(GRID.tokens, dtype=np.float32)
    mean = np.zeros((GRID.tokens, WIDTH), np.float32)
    return Transform("none", 0.5, mean, channels, channels, positions, positions)


class RoundingCodec:
    """A codec small enough to see through: four float16 rows per segment. Its tables are those of whole numbers."""

    kind = "rounding"
    fitted = levels = None
    grid, hidden_size = GRID, WIDTH
    _tables = integer_codec(contexts=False, grid=GRID, size=WIDTH)
    transform = replace(_tables.transform, step=1 / 16)
    layouts, tables, stated_grid = _tables.layouts, _tables.tables, _tables.stated_grid
    components = WIDTH

    def is_fitted(self, grid: Grid) -> bool:
        return grid.rows * grid.columns == GRID.tokens

    def analyse(self, tokens: VisualTokens) -> Any:
        return self.transform.analyse(tokens.values, tokens.grid, self.is_fitted(tokens.grid))

    def takes(self, grid: Grid) -> bool:
        return grid == GRID

    def encode(
        self, tokens: VisualTokens, *, max_bytes: int | None = None, level: int | None = None, fineness: None = None
    ) -> EncodedImage:
        """A level is so many values."""
        data = tokens.values.astype("<f2").tobytes()[: max_bytes or None][: level and 2 * level]
        return EncodedImage("codec", b"h", tuple(data[i : i + 128] for i in range(0, len(data), 128)))

    def encode_watchfully(self, tokens: VisualTokens, **limits: int | None) -> tuple[EncodedImage, bool]:
        return self.encode(tokens, **limits), False

    def encode_at(self, tokens: VisualTokens, token_bytes: int) -> EncodedImage:
        return self.encode(tokens, max_bytes=token_bytes * tokens.grid.tokens)

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        values = np.zeros(GRID.tokens * WIDTH, np.float32)
        found = np.frombuffer(b"".join(segments), "<f2")
        values[: len(found)] = found
        return VisualTokens(values.reshape(GRID.tokens, WIDTH), GRID)


class Patches:
    """A tower of one square picture whose tokens are its embedded patches and nothing more."""

    pictures, tiles, patches = ((128, 128),), ((0, 0, 0),), (8, 8)

    def __init__(self) -> None:
        random = np.random.default_rng(3)
        self.weight = random.normal(0, 1 / 255, (WIDTH, 3, 16, 16)).astype(np.float32)
        self.bias = random.normal(size=WIDTH).astype(np.float32)

    blocks = 3

    def tokens(self, embedded: np.ndarray) -> VisualTokens:
        return VisualTokens(embedded.reshape(-1, WIDTH), GRID)

    def grey_states(self, block: int) -> np.ndarray:
        if not 1 <= block <= self.blocks:
            raise ModelUnsupportedError
        return Blocks().grey_states(block)[None]

    def tokens_behind(self, block: int, states: np.ndarray) -> VisualTokens:
        return VisualTokens(states[0], GRID)


PATCHES = Patches()


class Blocks:
    """A device's tower whose states are the photo's levels, scaled by the block."""

    blocks = 4

    def states(self, photo: Image.Image, block: int) -> np.ndarray:
        small = np.asarray(photo.convert("L").resize((8, 8)), np.float32).reshape(64, 1)
        return np.asarray(small / 50 * block * np.sin(np.arange(1, WIDTH + 1)) + 1, np.float32)

    def grey_states(self, block: int) -> np.ndarray:
        return self.states(Image.new("RGB", (128, 128), (128,) * 3), block)

    def shortened(self, photo: Image.Image, shorten: Any) -> ShortTokens:
        """Units are tokens, whose keys they are themselves; no attention."""
        tokens, clusters = Tools().encode_tokens(photo), np.arange(GRID.tokens)
        for block in range(self.blocks):
            for keyed in (False, True):
                firsts = [int(np.flatnonzero(clusters == one)[0]) for one in range(int(clusters.max()) + 1)]
                left = tokens.values[firsts][:, None]
                sizes = np.bincount(clusters[clusters >= 0])
                becomes = shorten(Shortening(block, left, left if keyed else None, sizes, clusters))
                if becomes is not None:
                    clusters[clusters >= 0] = becomes[clusters[clusters >= 0]]
        return ShortTokens(tokens, clusters)


def predictors() -> Any:
    """A part of predictors that want what is large in the channel of their stage."""

    def network(stem: str) -> Any:
        channel = int(stem.removeprefix("stage-"))
        return SimpleNamespace(run=lambda outputs, given: [given["states"][..., channel]])

    return SimpleNamespace(card={"stages": [1, 2]}, network=network)


class Looking:
    """Sight that looks at the upper left for a question, and at the lower right for itself."""

    corner = np.zeros((4, 4), np.float32)
    corner[0, 0] = 1.0

    def question_map(self, question: str, tokens: VisualTokens) -> FloatArray | None:
        return None if question == "unreadable" else self.corner

    def shallow_map(self, photo: Image.Image) -> FloatArray:
        return self.corner[::-1, ::-1].copy()


@dataclass(frozen=True)
class Tools:
    grid: Grid = GRID
    hidden_size: int = WIDTH
    input_size: int = 128
    question: str = ""
    sight: Sight | None = field(default_factory=Looking)

    def codec(self, kind: str) -> Any:
        return RoundingCodec()

    def part(self, name: str) -> Part:
        if name == "dynamicvit":
            return predictors()
        return small_part(GRID, WIDTH) if name == SMALL_PART else bottleneck_part(name, GRID, WIDTH)

    def encode_attended(self, photo: Image.Image) -> AttendedTokens:
        """Bright places are looked at; keys are the tokens' first values."""
        tokens = self.encode_tokens(photo)
        return AttendedTokens(tokens, tokens.values[:, 0] - tokens.values.min(), tokens.values[:, :4])

    @property
    def tower(self) -> Any:
        return Blocks()

    def text_lines(self, picture: Image.Image) -> list[ReadLine]:
        return READ

    def describe(self, picture: Image.Image) -> str:
        return DESCRIBED

    def check_grid(self, grid: Grid) -> None:
        if grid != self.grid:
            raise ShapeError

    def pictures(self, photo: Image.Image) -> tuple[Image.Image, ...]:
        return (photo.convert("RGB").resize((self.input_size, self.input_size), Image.Resampling.LANCZOS),)

    def patch_reader(self, size: tuple[int, int]) -> Patches:
        if size != PATCHES.pictures[0]:
            raise ShapeError
        return PATCHES

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        small = np.asarray(photo.convert("L").resize((8, 8)), np.float32).reshape(64, 1)
        waves = np.sin(np.arange(1, WIDTH + 1, dtype=np.float32))
        return VisualTokens((small / 50 - 2) * waves, GRID)


def photo(width: int = 300, height: int = 200, seed: int = 1) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 20 + 1, width // 20 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded_by(name: str, picture: Image.Image | None = None, **setting: Any) -> EncodedImage:
    return STRATEGIES.load(name)().encode(picture or photo(), Tools(), setting)


def restored_by(encoded: EncodedImage) -> Restored:
    return STRATEGIES.load(encoded.strategy)().restore(encoded, Tools())
