"""Arrays of a codec's table files, checked with the reason: finite first, then within bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.types import LARGEST_WEIGHT, tokens_make_sense


def check_finite(part: BundlePart, *arrays: npt.NDArray[Any]) -> None:
    """Refuse infinities and what is no number.

    Raises:
        BundleDamagedError: see above.
    """
    if not all(np.all(np.isfinite(one)) for one in arrays):
        raise BundleDamagedError(part, BundleFault.NOT_FINITE)


def check_bounds(part: BundlePart, values: npt.NDArray[Any], low: float, high: float) -> None:
    """Refuse values below ``low`` or above ``high``, and those that are not finite.

    Raises:
        BundleDamagedError: see above.
    """
    check_finite(part, values)
    if values.min() < low or values.max() > high:
        raise BundleDamagedError(part, BundleFault.RANGE)


def check_weights(part: BundlePart, *arrays: npt.NDArray[Any]) -> None:
    """Refuse weights of 2**20 and more in size, and those that are not finite.

    Raises:
        BundleDamagedError: see above.
    """
    check_finite(part, *arrays)
    if not all(np.all(np.abs(one) < LARGEST_WEIGHT) for one in arrays):
        raise BundleDamagedError(part, BundleFault.RANGE)


def check_tokens(part: BundlePart, values: npt.NDArray[Any]) -> None:
    """Refuse tokens that no vision tower makes.

    Raises:
        BundleDamagedError: see above.
    """
    check_finite(part, values)
    if not tokens_make_sense(values):
        raise BundleDamagedError(part, BundleFault.RANGE)


def check_shape(part: BundlePart, values: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    """Refuse any other shape.

    Raises:
        BundleDamagedError: see above.
    """
    if values.shape != shape:
        raise BundleDamagedError(part, BundleFault.SHAPE)
