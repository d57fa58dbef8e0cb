"""Photos, model and bundle of the suite ``street``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from heliograph.bench.data import data_folder
from heliograph.codec.bundle import Bundle
from heliograph.errors import BundleDamagedError, CodecModelMismatchError, DataMissingError, ModelUnsupportedError
from heliograph.training.field.judging import CHOICES
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.photos import TEST, TRAINING, Photo, captioned_photos, plain_photos
from heliograph.vlm.codec_folder import check_fitted_on
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.efficientnet_lite import MODEL_TYPE
from heliograph.vlm.opening import open_model

FOLDER = Path("runs/street")
"""Where ``python -m heliograph.bench.street.codec`` writes and the suite looks."""

BUNDLE = "bundle"
CAPTIONED, STREET, TESTED = "flickr-mini", "street", "textvqa-dev"


@dataclass(frozen=True)
class StreetPhotos:
    """Photos of three folders.

    Attributes:
        captioned: held-out ones of ``flickr-mini``, which neither alignment nor codecs have seen.
        plain: of ``textvqa-dev``.
        learnt: of ``flickr-mini``, those that the alignment learns from.
        street: of ``street``, without captions.
        tuning: others of ``street``, on which settings are chosen.
    """

    captioned: tuple[Photo, ...]
    plain: tuple[Photo, ...]
    learnt: tuple[Photo, ...]
    street: tuple[Photo, ...]
    tuning: tuple[Photo, ...]

    @classmethod
    def find(cls, tuning: int) -> StreetPhotos:
        """The photos of the data at hand.

        Args:
            tuning: how many are kept apart to choose settings on.

        Raises:
            DataMissingError: a folder is not there, or holds too few.
        """
        people = captioned_photos(data_folder(CAPTIONED))
        held = tuple(one for one in people if one.share == TEST)
        if len(held) < CHOICES:
            raise DataMissingError().about(data_folder(CAPTIONED), f"{CHOICES} held-out photos are needed.")
        streets = plain_photos(data_folder(STREET) / "photos")
        apart = spread(streets, tuning)
        return cls(
            held,
            tuple(plain_photos(data_folder(TESTED) / "photos")),
            tuple(one for one in people if one.share == TRAINING),
            tuple(one for one in streets if one not in apart),
            tuple(apart),
        )


def spread(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Up to ``count`` photos, evenly over the list."""
    if count >= len(photos):
        return list(photos)
    return [photos[round(place * len(photos) / count)] for place in range(count)]


def open_field(name: str) -> TorchModel:
    """The field model in float32.

    Raises:
        ModelUnavailableError: it is not there; says how to put it together.
        ModelUnsupportedError: it is another model.
    """
    model = open_model(name)
    if getattr(getattr(model.torch_model.config, "vision_config", None), "model_type", None) != MODEL_TYPE:
        raise ModelUnsupportedError().about(name, "This suite is for the field model alone: heliograph assemble field.")
    return model


def reader_of(model: TorchModel) -> PackedReader:
    """The same model, asked many questions at once."""
    return PackedReader(model.torch_model, model.processor.tokenizer)


def open_bundle(model: TorchModel, folder: Path = FOLDER) -> Bundle:
    """The bundle that was made for exactly this model.

    Raises:
        BundleDamagedError: it is not there, or is damaged; says how to make it.
        CodecModelMismatchError: it was made for another model, such as an earlier alignment.
    """
    step = "python -m heliograph.bench.street.codec makes it."
    try:
        bundle = Bundle.load(folder / BUNDLE)
    except BundleDamagedError as error:
        raise error.about(folder / BUNDLE, step) from error
    try:
        check_fitted_on(bundle, model.name)
    except CodecModelMismatchError as error:
        raise error.about(folder / BUNDLE, step) from error
    return bundle


@torch.no_grad()
def tokens_of_cells(reader: PackedReader, cells: torch.Tensor) -> torch.Tensor:
    """(I, N, 1280) cells of the encoder to (I, N, D) float16 visual tokens."""
    parts = [reader.tokens(part.float()).half() for part in torch.split(cells, 256)]
    return torch.cat(parts)


def names_of(photos: Sequence[Photo]) -> list[str]:
    """Names of files, for what is kept of them."""
    return [one.path.name for one in photos]
