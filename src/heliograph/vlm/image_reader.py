"""Images as the quick path's language model reads them: tokens that came, or those of its own tower; all, or fewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from heliograph.errors import AnsweringFailedError, ShapeError, StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.types import Grid, VisualTokens, tokens_make_sense
from heliograph.vlm.decoding import Decoder
from heliograph.vlm.merged_tokens import MergedTokens, merge_tokens
from heliograph.vlm.prompt import FrameInputs, PromptBuilder

ImageInput = VisualTokens | Image.Image


class ImageReader:
    """Reads images for one model with one frame per photo.

    Args:
        model: with ``get_image_features``.
        prompts: makes pixels of photos.
        decoder: of the model.
        grid: of every photo.
        hidden_size: D.

    Attributes:
        visual_tokens: how many tokens of a photo the language model reads at most; None for all.
    """

    def __init__(self, model: Any, prompts: PromptBuilder, decoder: Decoder, grid: Grid, hidden_size: int) -> None:
        self._model, self._prompts, self._decoder = model, prompts, decoder
        self._shape = grid.tokens, hidden_size
        self._grid = grid
        self.visual_tokens: int | None = None

    def encode(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        """Visual tokens (N, D) float32 of several photos in one pass of the model's own encoder.

        Raises:
            AnsweringFailedError: it gives values that are no tokens, or the checkpoint has damaged weights.
        """
        return self._encoded(self._prompts.pixels(list(photos)), len(photos)) if photos else []

    def blank(self) -> VisualTokens:
        """Visual tokens of a white photo."""
        return self._encoded(self._prompts.blank(1), 1)[0]

    def read(self, images: Sequence[ImageInput]) -> list[Tensor | MergedTokens]:
        """Per image its tokens (N, D) as the language model reads them, those of photos from one pass of the tower; or
        fewer that stand for them.

        Raises:
            ShapeError: tokens are not (N, D), or a photo is one that the model takes for padding.
            StreamDamagedError: tokens are not finite.
            AnsweringFailedError: a photo's tokens are none, or the checkpoint has damaged weights.
        """
        if self.visual_tokens is not None:
            images = [one if isinstance(one, VisualTokens) else self.encode([one])[0] for one in images]
        photos = [image for image in images if not isinstance(image, VisualTokens)]
        made = iter(self._of_tower(self._prompts.pixels(photos), len(photos)) if photos else ())
        return [self._of_tokens(image) if isinstance(image, VisualTokens) else next(made) for image in images]

    def inputs(self, images: Sequence[ImageInput]) -> tuple[FrameInputs, list[Tensor | MergedTokens]]:
        """Blank frames, and what :meth:`read` puts in their place."""
        return self._prompts.blank(len(images)), self.read(images)

    def _encoded(self, frames: FrameInputs, photos: int) -> list[VisualTokens]:
        values = torch.stack(self._of_tower(frames, photos)).float().cpu().numpy()  # (photos, N, D)
        if not tokens_make_sense(values):
            raise AnsweringFailedError
        return [VisualTokens(np.ascontiguousarray(one), self._grid) for one in values]

    def _of_tower(self, frames: FrameInputs, photos: int) -> list[Tensor]:
        """(N, D) of each photo, in the model's dtype."""
        self._decoder.weights.require()
        made = self._model.get_image_features(
            pixel_values=frames.pixel_values.to(self._decoder.device, self._decoder.dtype),
            pixel_attention_mask=frames.pixel_attention_mask.to(self._decoder.device),
            return_dict=True,
        )
        rows = torch.cat(list(made.pooler_output))  # (photos * N, D)
        if rows.shape != (photos * self._shape[0], self._shape[1]):
            raise ShapeError().noted("a photo is one that the model takes for padding.")
        return list(rows.chunk(photos))

    def _of_tokens(self, tokens: VisualTokens) -> Tensor | MergedTokens:
        values = tokens.values
        if values.shape != self._shape:
            raise ShapeError().noted(f"tokens have the shape {self._shape}, not {values.shape}.")
        if not tokens_make_sense(values):
            raise StreamDamagedError(StreamFault.VALUE)
        if self.visual_tokens is not None:
            return merge_tokens(values, self.visual_tokens)
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._decoder.device, self._decoder.dtype)
