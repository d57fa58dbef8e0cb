"""Any family's model in the cloud: photos of any size as tokens or pixels in, answers out.

::

    sizes of the photos --grey photos, own processor and chat template--> ids, grids, grey pixels
    grey pixels --own vision tower, once per sizes--> layout
    VisualTokens (N, D) of each photo --layout--> output of get_image_features --tap--> generate --> Answer

Nothing here knows a family. What the photos' sizes decide (placeholders, grids, tiles) is asked of the model's own
processor with grey photos of those sizes, so that the cloud needs no pixels.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from heliograph.errors import (
    ModelUnsupportedError,
    QuestionEmptyError,
    QuestionTooLongError,
    ShapeError,
    StreamDamagedError,
    UsageError,
)
from heliograph.prompt_text import neutralised
from heliograph.types import Answer, Grid, VisualTokens
from heliograph.vlm.decoding import best_step, to_answer
from heliograph.vlm.image_features import FeatureLayout, layout_of, output_with, tokens_of
from heliograph.vlm.model import Verification
from heliograph.vlm.prompt import MAX_IMAGES_PER_QUESTION, MAX_QUESTION_CHARACTERS, control_tokens, forget_words
from heliograph.vlm.tap import METHOD, feed_output, find_owner

GREY = (128, 128, 128)
"""Of the photos that stand in for others; some families take black ones for padding."""

_USUAL_SIZE = (640, 480)
_MOST_SIDE = 1 << 14

Size = tuple[int, int]
ImageInput = VisualTokens | Image.Image


class GeneralModel:
    """An unmodified model of any family with its processor.

    Slower than :class:`heliograph.vlm.model.VisionLanguageModel`, which knows one family: every answer is one call of
    the model's own ``generate``, and drafts are not verified but answered anew.

    Args:
        name: as it was loaded.
        model, processor: in evaluation mode.

    Raises:
        ModelUnsupportedError: its forward calls no ``get_image_features``, or its processor makes no prompt of a photo,
            for want of a chat template, say.
    """

    fixed_grid = False
    """The photo's size decides how many tokens it has."""

    def __init__(self, name: str, model: Any, processor: Any) -> None:
        self.name = name
        self.torch_model, self.processor = model, processor
        self._owner = find_owner(model)
        self._keeps_logits = "logits_to_keep" in inspect.signature(type(model).forward).parameters
        self._taken = frozenset(inspect.signature(getattr(type(self._owner), METHOD)).parameters)
        self._control_names = tuple(sorted(control_tokens(processor.tokenizer).values(), key=len, reverse=True))
        end = model.generation_config.eos_token_id
        self._end_ids = frozenset([end] if isinstance(end, int) else end or ())
        self._positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._layout = lru_cache(maxsize=64)(self._make_layout)  # sizes come from strangers: bounded
        try:
            usual = self._layout((_USUAL_SIZE,))
        except Exception as error:  # a foreign processor can fail in any way on its first photo
            raise ModelUnsupportedError from error
        self.hidden_size, self.grid = usual[0].width, usual[1][0]

    def forget_questions(self) -> None:
        """Keep nothing of the questions that were asked; of photos only the sizes are kept."""
        forget_words(self.processor.tokenizer)

    # ---- images ------------------------------------------------------------------------------------
    @torch.inference_mode()
    def encode_image(self, photo: Image.Image) -> VisualTokens:
        """Visual tokens (N, D) float32 of one photo; D counts every level that the language model reads."""
        output = self._features(self._processed("", [photo]))
        grid = self._layout((photo.size,))[1][0]
        values = tokens_of(output).float().cpu().numpy()
        if values.shape[0] != grid.tokens:
            raise ModelUnsupportedError
        return VisualTokens(np.ascontiguousarray(values), grid)

    def pixels_read(self, size: Size) -> int:
        """Pixels that its processor makes of a photo of this width and height, in all tiles."""
        made = self._processed("", [Image.new("RGB", size, GREY)])
        grids = made.get("image_grid_thw")
        if grids is not None:
            return int(grids.prod(dim=-1).sum()) * int(self.processor.image_processor.patch_size) ** 2
        return int(made["pixel_values"].numel()) // 3

    @torch.inference_mode(mode=False)  # a layout is kept, and may come to be used where gradients are wanted
    @torch.no_grad()
    def _make_layout(self, sizes: tuple[Size, ...]) -> tuple[FeatureLayout, tuple[Grid, ...]]:
        """Of photos of these sizes, together; and how each one's tokens lie."""
        made = self._processed("", [Image.new("RGB", size, GREY) for size in sizes])
        layout = layout_of(self._features(made))
        if len(sizes) == 1:
            return layout, (_grid(layout.rows, sizes[0], made),)
        alone = [self._layout((size,)) for size in sizes]
        if sum(one.rows for one, _ in alone) != layout.rows:
            raise ModelUnsupportedError  # photos shown together are not the sum of each
        return layout, tuple(grids[0] for _, grids in alone)

    def _features(self, made: dict[str, Any]) -> Any:
        """What the model's own tower makes of processed photos."""
        method = getattr(self._owner, METHOD)
        return method(**{name: value for name, value in made.items() if name in self._taken}, return_dict=True)

    # ---- answers -----------------------------------------------------------------------------------
    @torch.inference_mode()
    def answer(self, question: str, images: Sequence[ImageInput], *, max_new_tokens: int = 64) -> Answer:
        """The greedy answer to ``question`` about ``images`` (1 to 8).

        Raises:
            QuestionEmptyError, QuestionTooLongError: the question cannot be asked, or not with so many photos.
            ShapeError, StreamDamagedError: tokens of the wrong shape for their photo's size, or not finite.
        """
        if max_new_tokens < 1 or not 1 <= len(images) <= MAX_IMAGES_PER_QUESTION:
            raise UsageError
        if len(question) > MAX_QUESTION_CHARACTERS:
            raise QuestionTooLongError
        if not question.strip():
            raise QuestionEmptyError
        if not any(isinstance(image, VisualTokens) for image in images):
            made = self._processed(question, [image for image in images if isinstance(image, Image.Image)])
            return self._generated(made, max_new_tokens)
        tokens = [image if isinstance(image, VisualTokens) else self.encode_image(image) for image in images]
        sizes = tuple(_size(one) for one in tokens)
        layout = self._layout(sizes)[0]
        values = np.concatenate([self._checked(one) for one in tokens])
        made = self._processed(question, [Image.new("RGB", size, GREY) for size in sizes])
        with feed_output(self._owner, output_with(torch.from_numpy(values).to(self.torch_model.device), layout)):
            return self._generated(made, max_new_tokens)

    def answer_logits(self, question: str, values: Tensor, grid: Grid, answer_ids: Sequence[int]) -> Tensor:
        """(A, V) logits at every token of a given answer; gradients flow into the visual tokens.

        Args:
            question: asked about one photo.
            values: (N, D) its visual tokens, of any float dtype.
            grid: of the photo.
            answer_ids: A token ids, such as those of an earlier answer.

        Raises:
            ShapeError: the tokens do not fit the photo's size.
        """
        size = _grid_size(grid)
        made = self._processed(question, [Image.new("RGB", size, GREY)])
        asked = made["input_ids"].shape[1]
        answer = torch.tensor([list(answer_ids)], device=made["input_ids"].device)
        for name, value in made.items():
            if value.shape == (1, asked):  # ids, masks and kinds of tokens: the answer's are those of plain text
                fill = answer if name == "input_ids" else torch.full_like(answer, int(name == "attention_mask"))
                made[name] = torch.cat([value, fill.to(value.dtype)], dim=1)
        kept = {"logits_to_keep": len(answer_ids) + 1} if self._keeps_logits else {}
        with feed_output(self._owner, output_with(values, self._layout((size,))[0])):
            logits: Tensor = self.torch_model(**made, **kept, use_cache=False).logits
        return logits[0, -len(answer_ids) - 1 : -1]

    def verify_draft(
        self, question: str, images: Sequence[ImageInput], draft: Answer, *, max_new_tokens: int = 64
    ) -> Verification:
        """The same answer, and how many of the draft's tokens are in it; made anew."""
        answer = self.answer(question, images, max_new_tokens=max_new_tokens)
        pairs = zip(answer.token_ids, draft.token_ids, strict=False)
        return Verification(answer, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)))

    def _checked(self, tokens: VisualTokens) -> np.ndarray:
        """(N, D) float32 of tokens that fit their photo's size."""
        layout = self._layout((_size(tokens),))[0]
        if tokens.values.shape != (layout.rows, layout.width):
            raise ShapeError
        if not np.isfinite(tokens.values).all():
            raise StreamDamagedError
        return np.ascontiguousarray(tokens.values, dtype=np.float32)

    def _processed(self, question: str, photos: Sequence[Image.Image]) -> dict[str, Any]:
        """What the model's own processor and chat template make of photos and a question."""
        content: list[dict[str, str]] = [{"type": "image"} for _ in photos]
        content.append({"type": "text", "text": neutralised(question.strip(), self._control_names)})
        messages = [{"role": "user", "content": content}]
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True)
        pictures = [photo.convert("RGB") for photo in photos]
        made = self.processor(text=[text], images=pictures, return_tensors="pt")
        model = self.torch_model
        return {
            name: value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
            for name, value in made.items()
        }

    def _generated(self, made: dict[str, Any], limit: int) -> Answer:
        if self._positions is not None and made["input_ids"].shape[1] + limit > self._positions:
            raise QuestionTooLongError
        out = self.torch_model.generate(
            **made, do_sample=False, max_new_tokens=limit, output_logits=True, return_dict_in_generate=True
        )
        ids = out.sequences[0, made["input_ids"].shape[1] :].tolist()
        steps = [replace(best_step(one[0]), token_id=said) for said, one in zip(ids, out.logits, strict=True)]
        said = [token for token in ids if token not in self._end_ids]
        text = self.processor.tokenizer.decode(said, skip_special_tokens=True).strip()
        return to_answer(steps, self._end_ids, str(text))


def _size(tokens: VisualTokens) -> Size:
    return _grid_size(tokens.grid)


def _grid_size(grid: Grid) -> Size:
    """Width and height of the photo.

    Raises:
        ShapeError: the grid does not say, or says something absurd.
    """
    size = grid.photo_width, grid.photo_height
    if not all(1 <= side <= _MOST_SIDE for side in size):
        raise ShapeError
    return size


def _grid(rows: int, size: Size, made: dict[str, Any]) -> Grid:
    """How one photo's tokens lie: as its patches do, merged; else in square tiles or one square; else in one row."""
    width, height = size
    if "image_grid_thw" in made:
        patches = made["image_grid_thw"][0].tolist()
        merged = math.isqrt(math.prod(patches) // rows) if rows else 0
        if merged and math.prod(patches) == rows * merged**2:
            return Grid(patches[1] // merged, patches[2] // merged, patches[0], width, height)
    pixels = made.get("pixel_values")
    tiles = int(pixels.shape[1]) if pixels is not None and pixels.ndim == 5 else 1  # (photos, tiles, 3, H, W)
    for count in (tiles, 1):
        side = math.isqrt(rows // count)
        if side * side * count == rows:
            return Grid(side, side, count, width, height)
    return Grid(1, rows, 1, width, height)
