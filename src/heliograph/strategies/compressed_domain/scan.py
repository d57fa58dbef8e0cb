"""In which order the bits of coefficients are coded, and what is known after some of them.

Every field of every component is coded by bit planes, band by band, the coarsest first: a pass over plane p of a band
is worth an error of 2^p steps in each of its coefficients, and passes come in the order of that error. So a stream that
is cut anywhere knows all coefficients about equally well, and ends at the quantisers of its quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.strategies.compressed_domain.coefficients import (
    BLOCK,
    COMPONENTS,
    Coefficients,
    PictureShape,
    steps_of,
)
from heliograph.strategies.compressed_domain.fields import PARTS, Blocks, Field, Means
from heliograph.strategies.compressed_domain.wavelet import analysed, synthesised
from heliograph.types import FloatArray

_HALVED_WEIGHT = 2
"""Of an error in chroma at half size, whose samples are four pixels each; in full it shows in RGB as luma does."""


@dataclass(frozen=True)
class Pass:
    """One pass over one plane of a part of a band.

    Attributes:
        worth: what the error matters that it removes from each coefficient, in sixteenths of an amplitude of one.
        picture, component: whose.
        field: its means (0) or its blocks (1).
        band, part: of the field.
        plane: p, which distinguishes magnitudes of 2^p steps and more.
    """

    worth: int
    picture: int
    component: int
    field: int
    band: int
    part: int
    plane: int

    @property
    def grade(self) -> int:
        """Its worth in half octaves, 0 to 255."""
        length = self.worth.bit_length()
        return 2 * length + (4 * self.worth >> length & 1)


class Scan:
    """The fields of all pictures of a photo.

    Args:
        shapes: of the pictures.
        quality: 1 to 100.
    """

    def __init__(self, shapes: Sequence[PictureShape], quality: int) -> None:
        self.shapes, self.quality = tuple(shapes), quality
        self.fields = tuple(
            tuple(_fields(shape, quality, component) for component in range(COMPONENTS)) for shape in self.shapes
        )

    def passes(self) -> list[Pass]:
        """All of them, in coding order."""
        found = [one for picture in range(len(self.shapes)) for one in self._passes_of(picture)]
        return sorted(found, key=lambda one: (-one.worth, one.field, one.band, one.picture, one.component, one.part))

    def field(self, one: Pass) -> Field:
        """The field of a pass."""
        return self.fields[one.picture][one.component][one.field]

    def others(self, one: Pass) -> tuple[Field, ...]:
        """Fields that tell something of a pass over chroma: the other chroma's, then luma's."""
        if one.component == 0:
            return ()
        components = self.fields[one.picture]
        return components[COMPONENTS - one.component][one.field], components[0][one.field]

    def coefficients(self) -> tuple[Coefficients, ...]:
        """What is known of every picture, each coefficient in the middle of its interval."""
        made = []
        for shape, components in zip(self.shapes, self.fields, strict=True):
            levels = tuple(known_levels(means, blocks) for means, blocks in components)
            made.append(Coefficients(shape, self.quality, levels))
        return tuple(made)

    def _passes_of(self, picture: int) -> list[Pass]:
        found = []
        for component, fields in enumerate(self.fields[picture]):
            weight = _HALVED_WEIGHT if component and self.shapes[picture].halved else 1
            for kind, field in enumerate(fields):
                for band in range(field.bands):
                    unit = field.worth(band) * weight
                    parts = [part for part in range(PARTS) if len(field.cells(band, part))]
                    found += [
                        Pass(unit << plane, picture, component, kind, band, part, plane)
                        for plane in range(field.planes(band))
                        for part in parts
                    ]
        return found


def known_levels(means: Means, blocks: Blocks) -> FloatArray:
    """(R, C, 8, 8) float32 of one component."""
    rows, columns = blocks.shape
    levels = blocks.middles().reshape(BLOCK, BLOCK, rows, columns).transpose(2, 3, 0, 1).copy()
    levels[:, :, 0, 0] = synthesised(np.rint(means.middles()).astype(np.int64).reshape(rows, columns))
    return levels


def truth(coefficients: Coefficients, component: int) -> tuple[np.ndarray, np.ndarray]:
    """(cells,) int64 of both fields of a component: what :class:`Scan` comes to know."""
    levels = coefficients.levels[component].astype(np.int64)
    return analysed(levels[:, :, 0, 0]).reshape(-1), levels.transpose(2, 3, 0, 1).reshape(-1)


def _fields(shape: PictureShape, quality: int, component: int) -> tuple[Means, Blocks]:
    rows, columns = shape.blocks(component)
    steps = steps_of(quality, component)
    return Means(rows, columns, int(steps[0, 0])), Blocks(rows, columns, steps)
