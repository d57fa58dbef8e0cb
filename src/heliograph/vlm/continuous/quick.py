"""Rows of :class:`heliograph.vlm.model.VisionLanguageModel`: prompts split after the images, and heads are shared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from heliograph.errors import ShapeError
from heliograph.types import VisualTokens
from heliograph.vlm.continuous.rows import Asked, HeadInputs
from heliograph.vlm.contract import BatchRequest, Verification
from heliograph.vlm.generation_rules import RowRules
from heliograph.vlm.merged_tokens import MergedTokens, merged_prompt
from heliograph.vlm.verification import DraftWalk

if TYPE_CHECKING:
    from heliograph.vlm.contract import ImageInput
    from heliograph.vlm.model import VisionLanguageModel

_DIGEST_BYTES = 16


class QuickRows:
    """A :class:`heliograph.vlm.continuous.rows.RowSource`.

    Args:
        model: of one frame per photo.
    """

    def __init__(self, model: VisionLanguageModel) -> None:
        self._model = model
        self._placeholder = int(model.torch_model.config.image_token_id)

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self._model.end_ids

    def ask(self, request: BatchRequest) -> Asked:
        """The prompt, and how many columns its head takes at most.

        Raises:
            QuestionEmptyError, QuestionTooLongError, UsageError: it cannot be asked.
        """
        model = self._model
        prompt = model.prompt(request.question, len(request.images), request.max_new_tokens)
        merged = model.images.visual_tokens
        fewer = 0 if merged is None else len(request.images) * (model.grid.tokens - merged)
        guess = () if request.draft is None else model.guess(request.draft)
        return Asked(prompt.head, prompt.tail, len(prompt.head) - fewer, tuple(guess[: request.max_new_tokens]))

    def rules(self, asked: Asked, limit: int) -> RowRules | None:
        """What the generation config does to this row's logits."""
        return self._model.decoder.rules.row(asked.head + asked.tail, limit)

    def key(self, images: Sequence[ImageInput]) -> bytes | None:
        """A digest of what the images hold, and of how many tokens are read of each; None without images."""
        if not images:
            return None
        found = hashlib.blake2b(str(self._model.images.visual_tokens).encode(), digest_size=_DIGEST_BYTES)
        for image in images:
            if isinstance(image, VisualTokens):
                kind, held = (
                    f"tokens {image.values.shape} {image.values.dtype}",
                    np.ascontiguousarray(image.values).data,
                )
            else:
                kind, held = f"photo {image.mode} {image.size} {image.getpalette()}", memoryview(image.tobytes())
            found.update(f"{kind} {held.nbytes} ".encode())
            found.update(held)
        return found.digest()

    def head(self, asked: Asked, images: Sequence[ImageInput]) -> HeadInputs:
        """Chat opening and the images' tokens.

        Raises:
            ShapeError, StreamDamagedError, AnsweringFailedError: images of which there is no answer.
        """
        features = self._model.images.read(images)
        merged = [one for one in features if isinstance(one, MergedTokens)]
        if merged:
            return self._merged_head(asked, merged)
        ids = np.array(asked.head, dtype=np.int64)
        whole = [one for one in features if isinstance(one, Tensor)]
        return self._inputs(ids, np.arange(len(ids)), whole)

    def _merged_head(self, asked: Asked, merged: Sequence[MergedTokens]) -> HeadInputs:
        prompt = merged_prompt(torch.tensor([asked.head]), merged, self._placeholder)
        ids, positions = prompt.ids[0].numpy(), prompt.positions[0].numpy()
        return self._inputs(ids, positions, [one.values for one in merged], prompt.weights[0], prompt.left_out)

    def _inputs(
        self,
        ids: np.ndarray,
        positions: np.ndarray,
        features: Sequence[Tensor],
        weights: Tensor | None = None,
        left_out: int = 0,
    ) -> HeadInputs:
        places = np.flatnonzero(ids == self._placeholder)
        joined = torch.cat(list(features)) if features else None
        if joined is not None and len(joined) != len(places):
            raise ShapeError().noted(f"there are {len(places)} placeholders for {len(joined)} visual tokens.")
        return HeadInputs(ids, positions, places, joined, weights, left_out)

    def prefill(self, request: BatchRequest) -> None:
        """Prompts are read side by side."""

    def verified(self, walk: DraftWalk, request: BatchRequest) -> Verification:
        """The answer, and how many of the draft's tokens are in it.

        Raises:
            AnsweringFailedError: there is none in these steps.
        """
        return Verification(self._model.answer_of(walk.steps), walk.kept)
