"""What docs/coefficients.md says, once more by a receiver written from the page, cell by cell in plain integers."""

from __future__ import annotations

import bisect
import contextlib
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.registry import STRATEGIES
from heliograph.strategies.compressed_domain import jpeg_dct
from heliograph.strategies.compressed_domain.coefficients import quantised
from heliograph.strategies.compressed_domain.contexts import shipped_tables
from heliograph.strategies.compressed_domain.stream import decode

TABLES = json.loads((Path(jpeg_dct.__file__).parent / "coefficient_tables.json").read_text(encoding="utf-8"))
GROUPS = [[1], [2], [3], [4], [5, 6], [7, 8], [9, 10, 11, 12, 13, 14]]
BORDERS = [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 1024]
SMALLEST, DETAILS = [16, 24, 44, 86, 171, 342, 684], [17, 25, 47, 91, 181, 362]


# ---- the coder of bitstream.md ---------------------------------------------------------------------
def survivals() -> list[int]:
    factor = math.isqrt(1 << 191)
    for _ in range(11):
        factor = math.isqrt(factor << 96)
    table, value = [], 1 << 96
    for _ in range(28_673):
        table.append((value + (1 << 79)) >> 80)
        value = (value * factor) >> 96
    return table


Z = survivals()


class Ended(Exception):
    pass


class Coder:
    """Keeps the smallest and the largest value that the codeword can still have."""

    def __init__(self, data: bytes) -> None:
        self.bits = data
        self.low, self.width, self.at = 0, 1 << 48, 0
        self.window = [self._value(0), self._value(255)]

    def _value(self, fill: int) -> int:
        return int.from_bytes((self.bits[:6] + bytes([fill] * 6))[:6], "big")

    def _step(self, parts: list[tuple[int, int]]) -> int:
        """Which of the (lower, width) parts both ends of the window lie in."""
        found = []
        for value in self.window:
            inside = [n for n, (lower, width) in enumerate(parts) if lower <= value - self.low < lower + width]
            found.append(inside[0] if inside else -1)
        if found[0] != found[1] or found[0] < 0:
            raise Ended
        lower, self.width = parts[found[0]]
        self.low += lower
        return found[0]

    def _widen(self) -> None:
        while self.width < 1 << 32:
            self.at += 2
            self.low, self.width = self.low << 16, self.width << 16
            for end, fill in enumerate((0, 255)):
                more = (self.bits[self.at + 4 : self.at + 6] + bytes([fill] * 2))[:2]
                self.window[end] = self.window[end] << 16 | int.from_bytes(more, "big")

    def bits_of(self, costs: list[int], signed: list[bool]) -> Iterator[tuple[int, int, bool | None]]:
        """(first, behind, minus): zeros where ``minus`` is None, else a one at ``first`` and zeros before it."""
        sums = [0]
        for cost in costs:
            sums.append(sums[-1] + cost)
        i = 0
        while i < len(costs):
            unit = self.width >> 16
            last = next((e for e in range(i, len(costs)) if sums[e] >= sums[i] + 8192), len(costs))
            ones = list(range(i, last))
            parts = [(0, unit * Z[sums[last] - sums[i]])]
            for j in ones:
                lower, upper = Z[sums[j + 1] - sums[i]], Z[sums[j] - sums[i]]
                parts.append((unit * lower, unit * (upper - lower)))
            which, minus = self._step(parts), None
            if which:
                i, last = ones[which - 1], ones[which - 1] + 1
                minus = False
                if signed[i]:
                    half = self.width >> 1
                    minus = self._step([(half, self.width - half), (0, half)]) == 1
            self._widen()
            yield i, last, minus
            i = last


# ---- the page --------------------------------------------------------------------------------------
def steps(quality: int, component: int) -> list[int]:
    """Pillow's, which are libjpeg's."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", quality=quality)
    return list(Image.open(out).quantization[min(component, 1)])


class Component:
    def __init__(self, rows: int, columns: int, step: list[int]) -> None:
        self.rows, self.columns, self.step = rows, columns, step
        self.known: dict[Any, int] = {}
        self.minus: dict[Any, bool] = {}
        self.plane: dict[Any, int] = {}
        self.sides = [(rows, columns)]
        while max(self.sides[-1]) > 4:
            r, c = self.sides[-1]
            self.sides.append((-(-r // 2), -(-c // 2)))

    def step_of(self, cell: Any) -> int:
        return self.step[0] if cell[0] == "m" else self.step[8 * cell[1] + cell[2]]

    def size(self, *cell: Any) -> int:
        known = self.known.get(cell, 0)
        return (2 * known + (1 << self.plane[cell])) * self.step_of(cell) if known else 0

    def parts_of(self, band: int) -> list[tuple[range, range]]:
        """Rows and columns of the parts of a band of means."""
        r, c = self.sides[-1]
        if band == 0:
            return [(range(r), range(c))]
        octave = len(self.sides) - band
        (below, beside), (r, c) = self.sides[octave - 1], self.sides[octave]
        return [(range(r), range(c, beside)), (range(r, below), range(c)), (range(r, below), range(c, beside))]

    def frequencies(self, band: int) -> list[tuple[int, int]]:
        return [(u, v) for u in range(8) for v in range(8) if u + v in GROUPS[band]]

    def cells(self, kind: str, band: int, part: int) -> list[Any]:
        if kind == "m":
            return [("m", y, x) for rows, columns in self.parts_of(band) for y in rows for x in columns]
        blocks = [(r, c) for r in range(self.rows) for c in range(self.columns) if (r + c) % 2 == part]
        return [("b", u, v, r, c) for u, v in self.frequencies(band) for r, c in blocks]


def beside(y: int, x: int) -> list[tuple[int, int]]:
    return [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]


def corners(y: int, x: int) -> list[tuple[int, int]]:
    return [(y - 1, x - 1), (y - 1, x + 1), (y + 1, x - 1), (y + 1, x + 1)]


def block_features(own: Component, cell: Any, others: list[Component], halved: bool) -> list[int]:
    _, u, v, r, c = cell
    every = [(a, b) for a in range(8) for b in range(8) if a or b]

    def block(y: int, x: int) -> int:
        return sum(own.size("b", a, b, y, x) for a, b in every)

    found = [
        sum(own.size("b", u, v, y, x) for y, x in beside(r, c)),
        sum(own.size("b", u, v, y, x) for y, x in corners(r, c)),
        own.size("b", u - 1, v, r, c) + own.size("b", u, v - 1, r, c),
        own.size("b", u - 1, v - 1, r, c) + own.size("b", u - 2, v, r, c) + own.size("b", u, v - 2, r, c),
        own.size("b", u + 1, v, r, c) + own.size("b", u, v + 1, r, c),
        block(r, c),
        sum(block(y, x) for y, x in beside(r, c)),
        sum(own.size("b", u, v, y, x) for y in range(own.rows) for x in range(own.columns)) // (own.rows * own.columns),
        0,
        0,
        1,
    ]
    if others:
        found[8] = others[0].size("b", u, v, r, c)
        places = [(2 * r + a, 2 * c + b) for a in (0, 1) for b in (0, 1)] if halved else [(r, c)]
        found[9] = sum(others[1].size("b", u, v, y, x) for y, x in places)
    return found


def mean_features(own: Component, cell: Any, band: int, others: list[Component]) -> list[int]:
    _, y, x = cell
    parts = own.parts_of(band)
    rows, columns = next(one for one in parts if y in one[0] and x in one[1])

    def within(places: list[tuple[int, int]]) -> int:
        return sum(own.size("m", a, b) for a, b in places if a in rows and b in columns)

    found = [within(beside(y, x)), within(corners(y, x)), own.size("m", y // 2, x // 2) if band > 1 else 0, 0]
    for other_rows, other_columns in parts:
        if (other_rows, other_columns) != (rows, columns):
            a, b = other_rows.start + y - rows.start, other_columns.start + x - columns.start
            if a in other_rows and b in other_columns:
                found[3] += own.size("m", a, b)
    whole = sum(own.size("m", a, b) for a in rows for b in columns)
    found += [whole // (len(rows) * len(columns)), others[0].size("m", y, x) if others else 0, 1]
    return found


def passes_of(components: list[Component], halved: bool) -> list[tuple[Any, ...]]:
    found = []
    for number, one in enumerate(components):
        weight = 2 if number and halved else 1
        for band in range(len(one.sides)):
            octave = len(one.sides) - max(band, 1)
            unit = one.step[0] * (DETAILS[octave - 1] if band else SMALLEST[octave])
            for plane in range((16384 // one.step[0]).bit_length()):
                found.append(((unit * weight) << plane, 0, band, number, 0, plane))
        for band in range(7):
            own = [one.step[8 * u + v] for u, v in one.frequencies(band)]
            unit = max(1, (16 * sum(own) // len(own)) * 7**band // 8**band)
            for plane in range((1024 // min(own)).bit_length()):
                for part in (0, 1):
                    found.append(((unit * weight) << plane, 1, band, number, part, plane))
    return sorted(found, key=lambda one: (-one[0], *one[1:5]))


def received(header: bytes, data: bytes) -> list[np.ndarray]:
    """Levels (R, C, 8, 8) of each component of one picture."""
    quality, halved, grade = header[0] & 127, header[0] < 128, header[1]
    width, height = header[2] + 1, header[3] + 1
    components = []
    for number in range(3):
        step = 2 if halved and number else 1
        rows, columns = ((side - 1) // (8 * step) + 1 for side in (height, width))
        components.append(Component(rows, columns, steps(quality, number)))
    coder = Coder(data)
    with contextlib.suppress(Ended):
        for worth, kind, band, number, part, plane in passes_of(components, halved):
            length = worth.bit_length()
            if 2 * length + (4 * worth >> length & 1) <= grade:
                run_pass(coder, components, halved, ("m", "b")[kind], band, number, part, plane)
    return [restored(one) for one in components]


def run_pass(
    coder: Coder, components: list[Component], halved: bool, kind: str, band: int, number: int, part: int, plane: int
) -> None:
    own = components[number]
    others = [components[3 - number], components[0]] if number else []
    octave = len(own.sides) - band
    group = band if kind == "b" else 0 if band == 0 else min(octave, 3)
    colour, level = min(number, 1), min(plane, 2)
    decisions = []
    for cell in own.cells(kind, band, part):
        known = own.known.get(cell, 0)
        if known:
            cost = TABLES["refinement_costs"][int(known == 2 << plane)][level]
        else:
            if kind == "b":
                features = block_features(own, cell, others, halved)
                weights, table = TABLES["block_weights"][colour][group], TABLES["block_costs"][colour][group][part]
            else:
                features = mean_features(own, cell, band, others)
                weights, table = TABLES["mean_weights"][colour][group], TABLES["mean_costs"][colour][group]
            expected = sum(f * w for f, w in zip(features, weights, strict=True))
            expected //= (own.step_of(cell) << (plane + 1)) << 6
            cost = table[level][bisect.bisect_right(BORDERS, expected)]
        decisions.append((known > 0, -cost, cell))
    decisions.sort(key=lambda one: one[:2])
    costs, signed = [-cost for _, cost, _ in decisions], [not known for known, _, _ in decisions]
    found = []
    try:
        found.extend(coder.bits_of(costs, signed))
    finally:  # a pass that ends early has told of its beginning
        settle(own, [cell for _, _, cell in decisions], found, plane)


def settle(own: Component, cells: list[Any], found: list[tuple[int, int, Any]], plane: int) -> None:
    for first, behind, minus in found:
        for place in range(first, behind):
            if minus is not None:
                cell = cells[place]
                if not own.known.get(cell):
                    own.minus[cell] = minus
                own.known[cell] = own.known.get(cell, 0) + (1 << plane)
    done = found[-1][1] if found else 0
    for cell in cells[:done]:
        own.plane[cell] = plane


def joined(values: list[int]) -> list[int]:
    """Means, then details, back to a row."""
    if len(values) == 1:
        return values
    middle = -(-len(values) // 2)
    means, details = values[:middle], values[middle:]

    def detail(i: int) -> int:
        return details[min(max(i, 0), len(details) - 1)]

    even = [mean - ((detail(i - 1) + detail(i) + 2) >> 2) for i, mean in enumerate(means)]
    out = []
    for i in range(middle):
        out.append(even[i])
        if i < len(details):
            out.append(details[i] + ((even[i] + even[min(i + 1, middle - 1)]) >> 1))
    return out


def restored(own: Component) -> np.ndarray:
    def value(cell: Any) -> float:
        known = own.known.get(cell, 0)
        size = known + 13 / 32 * ((1 << own.plane[cell]) - 1) if known else 0.0
        return -size if own.minus.get(cell) else size

    plane = [[round(value(("m", y, x))) for x in range(own.columns)] for y in range(own.rows)]
    for rows, columns in reversed(own.sides[:-1]):
        for y in range(rows):
            plane[y][:columns] = joined(plane[y][:columns])
        for x in range(columns):
            for y, one in enumerate(joined([plane[y][x] for y in range(rows)])):
                plane[y][x] = one
    levels = np.zeros((own.rows, own.columns, 8, 8))
    for cell in own.known:
        if cell[0] == "b":
            levels[cell[3], cell[4], cell[1], cell[2]] = value(cell)
    levels[:, :, 0, 0] = plane
    return levels


# ---- compared --------------------------------------------------------------------------------------
WAVES = np.add.outer(np.arange(60) ** 2 // 9, np.arange(60) * 5)[..., None] * np.array([1, 2, 3]) % 256


class Tools:
    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture

    def pictures(self, photo: Any) -> tuple[Image.Image, ...]:
        return (self._picture,)


@pytest.mark.parametrize(
    ("size", "quality", "chroma"), [((40, 24), 30, 2), ((48, 41), 12, 2), ((17, 24), 60, 1), ((8, 8), 95, 2)]
)
def test_a_receiver_of_the_page_has_the_coefficients(size: tuple[int, int], quality: int, chroma: int) -> None:
    picture = Image.fromarray(WAVES.astype(np.uint8)).crop((0, 0, *size))
    tools: Any = Tools(picture)
    encoded = STRATEGIES.load("jpeg-dct")().encode(picture, tools, {"quality": quality, "chroma": chroma})
    data = b"".join(encoded.segments)
    expected = quantised(picture, quality, chroma == 2)
    for found, levels in zip(received(encoded.header, data), expected.levels, strict=True):
        assert np.array_equal(found, levels)


def test_a_cut_stream_tells_both_receivers_the_same() -> None:
    picture = Image.fromarray(WAVES.astype(np.uint8)).crop((0, 0, 40, 24))
    tools: Any = Tools(picture)
    encoded = STRATEGIES.load("jpeg-dct")().encode(picture, tools, {"quality": 30})
    data = b"".join(encoded.segments)
    shape = quantised(picture, 30, True).shape
    for length in (1, 9, 40, 111):
        ours = decode([shape], 30, encoded.header[1], data[:length], shipped_tables())[0]
        for found, levels in zip(received(encoded.header, data[:length]), ours.levels, strict=True):
            assert np.allclose(found, levels, atol=1e-4)
