"""What the frozen vision encoder makes of photos, once, with each photo's mirror image beside it.

::

    photo --stretched to S x S, own processor's numbers--> tower.features --pooled--------------> (2, N, 1280) float16
                                                                          --mean, ImageNet head--> likeliest class
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.training.field.photos import read_photo
from heliograph.training.files import replacing
from heliograph.training.progress import Advance
from heliograph.vlm.efficientnet_lite import pooled

_SAVE_EVERY = 100


@dataclass(frozen=True)
class Looked:
    """What the encoder made of I photos.

    Attributes:
        cells: (I, 2, N, 1280) float16 of photos and their mirror images.
        classes: (I,) numbers of the likeliest ImageNet class.
        chances: (I,) its probability, 0 to 1.
    """

    cells: Tensor
    classes: Tensor
    chances: Tensor

    @property
    def mean(self) -> Tensor:
        """(1, N, 1280) float32 cells of the mean photo."""
        return self.cells[:, 0].float().mean(0, keepdim=True)


class Encoder:
    """The vision half, frozen.

    Args:
        model: the field LLaVA.
        processor: its own.
        head: (1000, 1280) weights and (1000,) biases of the encoder's own classifier.
    """

    def __init__(self, model: Any, processor: Any, head: tuple[Tensor, Tensor]) -> None:
        self._tower, self._processor, self._head = model.model.vision_tower, processor, head

    def look_at(self, photos: Sequence[Path], kept: Path, advance: Advance) -> Looked:
        """What it makes of photos, kept in a file; a run that was stopped goes on.

        Args:
            photos: files.
            kept: an ``.npz`` file of what is done, in the order of ``photos``; it belongs to these photos alone.
            advance: counts photos.

        Raises:
            DataMissingError: a photo cannot be read.
            OutputUnwritableError: the disk refuses.
        """
        cells, classes, chances = _read(kept, len(photos))
        advance(len(cells))
        for path in photos[len(cells) :]:
            made, number, chance = self._one(path)
            cells.append(made)
            classes.append(number)
            chances.append(chance)
            advance(1)
            if len(cells) % _SAVE_EVERY == 0 or len(cells) == len(photos):
                with replacing(kept) as fresh:
                    np.savez(fresh, cells=torch.stack(cells).numpy(), classes=classes, chances=chances)
        return Looked(torch.stack(cells), torch.tensor(classes), torch.tensor(chances))

    @torch.no_grad()
    def _one(self, path: Path) -> tuple[Tensor, int, float]:
        pixels = self._processor.image_processor(read_photo(path), return_tensors="pt")["pixel_values"]
        found = self._tower.features(torch.cat([pixels, pixels.flip(-1)]))  # (2, 1280, s, s)
        weights, biases = self._head
        chances = (weights @ found[0].mean((1, 2)) + biases).softmax(0)  # (1000,)
        chance, number = chances.max(0)
        return pooled(found, self._tower.config.grid).half(), int(number), float(chance)


def _read(kept: Path, most: int) -> tuple[list[Tensor], list[int], list[float]]:
    if not kept.is_file():
        return [], [], []
    with np.load(kept) as held:
        cells = [torch.from_numpy(one) for one in held["cells"][:most]]
        return cells, held["classes"][:most].tolist(), held["chances"][:most].tolist()
