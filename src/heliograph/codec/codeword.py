"""One photo's codeword before it is cut: after which byte what is known, and how much of the photo that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.plane_plan import PlaneModel
from heliograph.codec.planes import Change, PlaneState
from heliograph.codec.tables import Int

Double = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Codeword:
    """One encoded photo.

    Attributes:
        data: the codeword.
        items: (K,) decisions known after each step.
        needed: (K,) bytes of ``data`` after which the step is certain, never falling.
        retained: (n + 1,) expected share of the energy that so many decisions restore, highest so far, 0 to 1.
        plane_ends: by plane that was coded whole, the number of decisions up to its end.
    """

    data: bytes
    items: Int
    needed: Int
    retained: Double
    plane_ends: dict[int, int]

    def known_at(self, byte_counts: Int) -> Int:
        """Decisions that a decoder knows with so many bytes."""
        steps = np.searchsorted(self.needed, byte_counts, side="right")
        return np.concatenate([np.zeros(1, np.int64), self.items])[steps]

    def retained_at(self, byte_counts: Int) -> Double:
        """Expected share of the energy that a decoder restores with so many bytes."""
        return np.asarray(self.retained[self.known_at(byte_counts)])

    def bytes_to(self, plane: int) -> int | None:
        """Bytes after which everything is known down to a plane; None where that was not coded."""
        if plane not in self.plane_ends:
            return None
        step = int(self.items.searchsorted(self.plane_ends[plane]))
        return int(self.needed[step]) if step < len(self.needed) else len(self.data)


@dataclass(frozen=True)
class Decoded:
    """What a codeword prefix tells.

    Attributes:
        state: the coefficients.
        changes: what each pass changed.
        planes: how far the bit planes are known: p after all of plane p, the number of planes at the start.
    """

    state: PlaneState
    changes: Sequence[Change]
    planes: float

    @property
    def retained(self) -> float:
        """Expected share of the energy that is restored, highest so far, 0 to 1."""
        course = EnergyCourse(self.state.model, self.state.shape[0])
        for change in self.changes:
            course.add(change)
        return float(course.retained()[-1])


class EnergyCourse:
    """How the restored energy grows and the expected error falls, decision by decision; the same on both ends.

    Sums are of whole numbers, in float64 so that none overflows; those below 2**53 are exact.

    Args:
        model: of the stream.
        tiles: of its grid.
    """

    def __init__(self, model: PlaneModel, tiles: int) -> None:
        self._energy: list[Int] = [np.zeros(1, dtype=np.int64)]
        self._error: list[Int | Double] = [np.asarray([tiles * model.prior_error], dtype=np.float64)]

    def add(self, change: Change) -> None:
        """What the next decisions change."""
        self._energy.append(change.energy)
        self._error.append(change.error)

    def retained(self) -> Double:
        """(n + 1,) restored energy over restored energy and expected error, highest so far; 0 to 1."""
        energy = np.cumsum(np.concatenate(self._energy), dtype=np.float64)
        error = np.maximum(np.cumsum(np.concatenate(self._error), dtype=np.float64), 1)
        share = np.clip(energy / (energy + error), 0, 1)
        return np.asarray(np.maximum.accumulate(share))
