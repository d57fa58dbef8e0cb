"""How likely each bit of a pass is a one, from frozen integer tables, and in which order the bits of a pass are coded.

::

    doubled amplitudes around a cell (features,) --weights of its class--> expected amplitude
    expected amplitude / 2^p steps --rungs--> rung --costs of class, part and plane--> cost of a zero, in 1/4096 bit

Bits of cells that are still below the plane come first, the likeliest ones ahead, then those that refine what is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from heliograph.codec.range_coder import CostRuns
from heliograph.reading.json_values import read_json_object
from heliograph.strategies.compressed_domain.fields import (
    BLOCK_FEATURES,
    GROUPS,
    MEAN_FEATURES,
    PARTS,
    Blocks,
    Field,
    Means,
    Whole,
)
from heliograph.strategies.compressed_domain.scan import Pass, Scan

_TABLES = Path(__file__).with_name("coefficient_tables.json")
_MAX_BYTES = 1 << 20

EVEN = 1 << 15
"""65536 times the chance of a minus."""

RUNGS = np.array([1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 1024])
"""Borders of rungs: expected amplitudes in 64ths of 2^p steps."""

CHROMA = 2
"""Classes of components: luma and chroma."""

PLANES = 3
"""Classes of planes: 0, 1 and all others."""

OCTAVES = 4
"""Classes of bands of means: the smallest picture, details of the first and second octave, and of all others."""

_UNIT_BITS = 12
"""Weights are in 2^-12."""


@dataclass(frozen=True)
class Tables:
    """What both ends know of photos.

    Attributes:
        block_weights: (2, 7, 11) int64, by luma or chroma and group of frequencies.
        mean_weights: (2, 4, 7) int64, by luma or chroma and octave.
        block_costs: (2, 7, 2, 3, 20) int64, further by part, plane and rung.
        mean_costs: (2, 4, 3, 20) int64.
        refinement_costs: (2, 3) int64, of cells known since long or since the plane before, by plane.
    """

    block_weights: Whole
    mean_weights: Whole
    block_costs: Whole
    mean_costs: Whole
    refinement_costs: Whole

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what :meth:`to_json` gives."""
        return cls(*(np.array(values[name], dtype=np.int64) for name in cls.__dataclass_fields__))

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}


SHAPES = {
    "block_weights": (CHROMA, len(GROUPS), BLOCK_FEATURES),
    "mean_weights": (CHROMA, OCTAVES, MEAN_FEATURES),
    "block_costs": (CHROMA, len(GROUPS), PARTS, PLANES, len(RUNGS) + 1),
    "mean_costs": (CHROMA, OCTAVES, PLANES, len(RUNGS) + 1),
    "refinement_costs": (2, PLANES),
}


@cache
def shipped_tables() -> Tables:
    """The tables of this version."""
    return Tables.from_json(read_json_object(_TABLES, max_bytes=_MAX_BYTES))


@dataclass(frozen=True)
class PassItems:
    """The bits of one pass.

    Attributes:
        cells: (n,) of its field, in coding order.
        fresh: how many of them are still below the plane; the rest are refinements.
        runs: cost of a zero at each.
    """

    cells: Whole
    fresh: int
    runs: CostRuns

    def sign_chances(self) -> Whole:
        """(n,) 65536 times the chance of a minus; 0 where no sign is sent."""
        return np.where(np.arange(len(self.cells)) < self.fresh, EVEN, 0)


def class_of(field: Field, one: Pass) -> tuple[int, int]:
    """Luma or chroma, and group or octave."""
    if isinstance(field, Means):
        return min(one.component, 1), min(field.octave(one.band), OCTAVES - 1) if one.band else 0
    return min(one.component, 1), one.band


def rungs_of(field: Field, one: Pass, seen: Whole, cells: Whole, tables: Tables) -> Whole:
    """(n,) rungs of cells, 0 to 19."""
    weights = (tables.mean_weights if isinstance(field, Means) else tables.block_weights)[class_of(field, one)]
    threshold = field.steps(cells) << one.plane + 1  # amplitudes are doubled
    expected = (weights @ seen) // (threshold << _UNIT_BITS - 6)
    return np.asarray(np.searchsorted(RUNGS, expected, side="right"))


def items_of(scan: Scan, one: Pass, tables: Tables) -> PassItems:
    """The bits of a pass, given what is known."""
    field = scan.field(one)
    cells = field.cells(one.band, one.part)
    rungs = rungs_of(field, one, field.seen(one.band, one.part, scan.others(one)), cells, tables)
    known = field.known[cells]
    plane = min(one.plane, PLANES - 1)
    place = class_of(field, one)
    table = tables.block_costs[place][one.part, plane] if isinstance(field, Blocks) else tables.mean_costs[place][plane]
    costs = table[rungs]
    since = (known == 2 << one.plane).astype(np.int64)
    costs = np.where(known > 0, tables.refinement_costs[since, plane], costs)
    order = np.lexsort((-costs, known > 0))
    fresh = len(cells) - int(np.count_nonzero(known))
    return PassItems(cells[order], fresh, _runs(costs[order]))


def _runs(costs: Whole) -> CostRuns:
    borders = np.concatenate([[0], np.flatnonzero(costs[1:] != costs[:-1]) + 1, [len(costs)]])
    return CostRuns(borders[1:] - borders[:-1], costs[borders[:-1]])
