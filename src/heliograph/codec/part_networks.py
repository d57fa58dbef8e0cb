"""A part's networks, run with every fault named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heliograph.errors import AnsweringFailedError, BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart

if TYPE_CHECKING:
    from heliograph.codec.parts import Part

Values = npt.NDArray[Any]


def run_network(part: Part, stem: str, given: dict[str, Values], shape: tuple[int, ...]) -> Values:
    """The one output of a part's network.

    Args:
        part: that holds it.
        stem: its file's name without the ending.
        given: inputs by name.
        shape: that the output must have.

    Raises:
        BundleDamagedError: there is no such network, it does not take these inputs, or gives something else.
        AnsweringFailedError: a value of the output is not finite.
    """
    session = part.network(stem)
    try:
        made = session.run(None, given)
    except Exception as error:  # onnxruntime raises classes of its own
        raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER).noted(f"{stem}.onnx.") from error
    if len(made) != 1 or made[0].shape != shape:
        raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER).noted(f"{stem}.onnx.")
    found: Values = made[0]
    if not np.all(np.isfinite(found)):
        raise AnsweringFailedError
    return found
