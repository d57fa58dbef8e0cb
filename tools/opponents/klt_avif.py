"""Opponent ``klt-avif``: channel coefficients of ``klt`` as tiles of a grey picture, in AVIF without its known bytes.

``python klt_avif.py FOLDER``, see ``heliograph.bench.bytes.opponents``. Each of the leading components is a tile of one
pixel a position, so that AVIF's own transform works on the grid; a grey level is one finest step.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.registry import STRATEGIES

TILES = (6,)
QUALITIES = (36, 42, 48, 54, 60)
_MIDDLE = 128

Array = npt.NDArray[Any]


def mosaic(channels: Array, tiles: int) -> npt.NDArray[np.uint8]:
    """(P, R) coefficients as a picture of tiles x tiles squares, the leading components row by row."""
    side = round(channels.shape[0] ** 0.5)
    squares = np.zeros((tiles * tiles, side, side))
    count = min(tiles * tiles, channels.shape[1])
    squares[:count] = channels[:, :count].T.reshape(count, side, side)
    picture = squares.reshape(tiles, tiles, side, side).swapaxes(1, 2).reshape(tiles * side, tiles * side)
    return np.clip(np.rint(picture) + _MIDDLE, 0, 255).astype(np.uint8)


def coefficients_of(picture: Array, tiles: int, shape: tuple[int, int]) -> Array:
    """The inverse: (P, R), zeros in components without a tile."""
    side = round(shape[0] ** 0.5)
    squares = picture.astype(np.float32).reshape(tiles, side, tiles, side).swapaxes(1, 2) - _MIDDLE
    count = min(tiles * tiles, shape[1])
    found = np.zeros(shape, dtype=np.float32)
    found[:, :count] = squares.reshape(tiles * tiles, -1)[:count].T
    return found


def main(folder: Path) -> None:
    """Writes ``answer.npz``."""
    channels = np.load(folder / "channels.npy")
    strategy, tools = STRATEGIES.load("avif-bare")(), cast("Any", None)  # pixels need no tools
    found: dict[str, Array] = {}
    for tiles in TILES:
        pictures = [Image.fromarray(mosaic(one, tiles)).convert("RGB") for one in channels]
        for quality in QUALITIES:
            setting = {"size": pictures[0].width, "quality": quality}
            streams = [strategy.encode(one, tools, setting) for one in pictures]
            images = [np.asarray(strategy.restore(one, tools).image.convert("L")) for one in streams]
            found[f"tiles={tiles},quality={quality}/bytes"] = np.array([one.payload_bytes for one in streams])
            found[f"tiles={tiles},quality={quality}/channels"] = np.stack(
                [coefficients_of(one, tiles, channels[0].shape) for one in images]
            )
    np.savez(
        folder / "answer.npz", note=np.array("avif-bare: without all bytes that the receiver can rebuild"), **found
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
