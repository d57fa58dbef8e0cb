"""What the frozen vision encoder makes of photos, once: of each as it is, of its mirror image and of parts of it.

::

    photo --views, each stretched to S x S, own processor's numbers--> tower.features --pooled--> (V, N, 1280) float16
                                                            of the whole photo --mean, ImageNet head--> likeliest class
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from heliograph.training.field.photos import read_photo
from heliograph.training.files import replacing
from heliograph.training.progress import Advance
from heliograph.vlm.efficientnet_lite import pooled

VIEWS = 6
_MIN_SIDE = 0.75  # of a part's, as a share of the photo's: what a caption names is seldom cut off
_SAVE_EVERY = 200


@dataclass(frozen=True)
class Looked:
    """What the encoder made of I photos.

    Attributes:
        cells: (I, V, N, 1280) float16 of views, see :func:`views_of`; the first is the photo as it is.
        classes: (I,) numbers of the likeliest ImageNet class.
        chances: (I,) its probability, 0 to 1.
    """

    cells: Tensor
    classes: Tensor
    chances: Tensor


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
            kept: an ``.npz`` file of what is done, by the photos' names; after the first other name all is made anew.
            advance: counts photos.

        Raises:
            DataMissingError: a photo cannot be read.
            OutputUnwritableError: the disk refuses.
        """
        names = [path.name for path in photos]
        cells, classes, chances = _read(kept, names)
        advance(len(cells))
        for path in photos[len(cells) :]:
            made, number, chance = self._one(path)
            cells.append(made)
            classes.append(number)
            chances.append(chance)
            advance(1)
            if len(cells) % _SAVE_EVERY == 0 or len(cells) == len(photos):
                with replacing(kept) as fresh:
                    done = names[: len(cells)]
                    np.savez(fresh, names=done, cells=torch.stack(cells).numpy(), classes=classes, chances=chances)
        return Looked(torch.stack(cells), torch.tensor(classes), torch.tensor(chances))

    @torch.no_grad()
    def _one(self, path: Path) -> tuple[Tensor, int, float]:
        views = views_of(read_photo(path), path.name)
        pixels = self._processor.image_processor(views, return_tensors="pt")["pixel_values"]  # (V, 3, S, S)
        found = self._tower.features(pixels)  # (V, 1280, s, s)
        weights, biases = self._head
        chances = (weights @ found[0].mean((1, 2)) + biases).softmax(0)  # (1000,)
        chance, number = chances.max(0)
        return pooled(found, self._tower.config.grid).half(), int(number), float(chance)


def views_of(photo: Image.Image, name: str) -> list[Image.Image]:
    """:data:`VIEWS` pictures: the photo, its mirror image, and parts that its name decides, half of them mirrored."""
    rng = np.random.default_rng(list(hashlib.blake2b(name.encode(), digest_size=8).digest()))
    made = [photo, ImageOps.mirror(photo)]
    for number in range(len(made), VIEWS):
        shares = rng.uniform(_MIN_SIDE, 1, 2)
        width, height = (max(1, round(side * share)) for side, share in zip(photo.size, shares, strict=True))
        left, top = (
            int(rng.integers(whole - part + 1)) for whole, part in zip(photo.size, (width, height), strict=True)
        )
        part = photo.crop((left, top, left + width, top + height))
        made.append(ImageOps.mirror(part) if number % 2 else part)
    return made


def _read(kept: Path, names: Sequence[str]) -> tuple[list[Tensor], list[int], list[float]]:
    """What a file holds of the first photos, as far as they are those of these names."""
    if not kept.is_file():
        return [], [], []
    with np.load(kept) as held:
        pairs = zip(held["names"].tolist(), names, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        cells = [torch.from_numpy(one) for one in held["cells"][:same]]
        return cells, held["classes"][:same].tolist(), held["chances"][:same].tolist()
