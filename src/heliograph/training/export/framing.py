"""Tokens of photos as a device will send them: each brought into the nearest of the frames that are exported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from heliograph.errors import DataMissingError, ModelUnsupportedError
from heliograph.training.export.frame_sizes import OwnProcessor, default_frames
from heliograph.training.fitting.token_cache import TokenCache
from heliograph.types import Reporter, VisualTokens
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.contract import TorchModel

Size = tuple[int, int]


class FramedEncoder:
    """A model that sees every photo in its nearest frame, as :class:`heliograph.edge.encoder.FrameEncoder` shows it.

    Args:
        model: any family.
        sizes: (width, height) in pixels of the frames; none leaves photos as they are.
    """

    def __init__(self, model: TorchModel, sizes: Sequence[Size]) -> None:
        self._model, self._sizes = model, tuple(sizes)

    def encode_image(self, photo: Image.Image) -> VisualTokens:
        """(N, D) float32 of one photo."""
        return self._model.encode_image(self.framed(photo))

    def encode_images(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        """The same of several photos, in order."""
        return self._model.encode_images([self.framed(photo) for photo in photos])

    def framed(self, photo: Image.Image) -> Image.Image:
        """The photo at its frame's size."""
        if not self._sizes:
            return photo
        wanted = math.log(photo.width / photo.height)
        size = min(self._sizes, key=lambda size: abs(math.log(size[0] / size[1]) - wanted))
        return photo.convert("RGB").resize(size, Image.Resampling.BICUBIC)


def frames_of(model: TorchModel, sizes: Sequence[Size] | None, progress: Reporter) -> tuple[Size, ...]:
    """The frames that an export of the model has: those that are named, else its usual ones; none for a model that has
    one square frame anyway, or none that a device could make.

    Raises:
        EncoderNotExportableError: the model's processor changes photos of a size that is named.
    """
    if model.input_size is not None:
        return ()
    if sizes:
        own = OwnProcessor(model)
        for size in sizes:
            own.read(size)  # refused now, not at the export after an hour of fitting
        return tuple(sizes)
    try:
        return default_frames(model)
    except ModelUnsupportedError:
        progress("no device could make this model's pixels: photos are taken in their own sizes")
        return ()


def photo_cache(
    model: TorchModel, source: Path, most: int, folder: Path, progress: Reporter, sizes: Sequence[Size] | None = None
) -> TokenCache:
    """Tokens of the first photos of a source, kept in a folder.

    Args:
        model: any family.
        source: folder, zip or list of photos.
        most: readable photos at most.
        folder: what is there is not made again.
        progress: receives a line per 25 photos.
        sizes: of frames, see :func:`frames_of`.

    Raises:
        DataMissingError: no readable photo.
        FileUnreadableError, TokensNotFiniteError, OutputUnwritableError: see :class:`TokenCache`.
    """
    frames = frames_of(model, sizes, progress)
    key = " ".join([model_fingerprint(model.name), *(f"{width}x{height}" for width, height in frames)])
    kept = TokenCache.open(folder, key)
    kept.extract(FramedEncoder(model, frames), source, progress, most)
    if not len(kept):
        raise DataMissingError().noted(f"{source}: no photo in it can be read.")
    return kept
