"""Any family's model in the cloud: photos of any size as tokens or pixels in, answers out.

::

    sizes of the photos --grey photos, own processor and chat template--> ids, grids, grey pixels
    grey pixels --own vision tower, once per sizes--> layout
    VisualTokens (N, D) of each photo --layout--> output of get_image_features --tap--> generate --> Answer

Nothing here knows a family. What the photos' sizes decide (placeholders, grids, tiles) is asked of the model's own
processor with grey photos of those sizes, so that the cloud needs no pixels. Prompts come from the one call that the
library guards, ``apply_chat_template(..., tokenize=True)``, and answers from ``generate(do_sample=False)`` with all
that the checkpoint's generation config says; only the longest answer is the caller's.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from heliograph.controllers.region.find import RegionSetting
from heliograph.errors import (
    AnsweringFailedError,
    ModelUnsupportedError,
    QuestionTooLongError,
    ShapeError,
    StreamDamagedError,
)
from heliograph.question import DEFAULT_ANSWER_TOKENS, check_text
from heliograph.reasons import StreamFault
from heliograph.strategies.towers import GREY
from heliograph.types import Answer, Grid, VisualTokens, tokens_make_sense
from heliograph.vlm.attention import AttentionFinder
from heliograph.vlm.causes import reason_of
from heliograph.vlm.checkpoint.weights import WeightCheck
from heliograph.vlm.continuous.general import general_rows
from heliograph.vlm.continuous.opening import BatchOpener
from heliograph.vlm.contract import PREFILL_TOKENS, SHARED_TOKENS, AnswerBatch, Verification
from heliograph.vlm.decoding import Step, finite, generated_ids, steps_of, to_answer
from heliograph.vlm.foreign_prompts import ForeignPrompts, with_answer
from heliograph.vlm.image_features import FeatureLayout, output_with, tokens_of
from heliograph.vlm.patch_reading import TorchPatchReader, open_patch_reader
from heliograph.vlm.photo_layouts import PhotoLayouts, Size, check_pixels, photo_size
from heliograph.vlm.prompt import check_asked, forget_words, placeholder_id, without_placeholders
from heliograph.vlm.prompt_memory import PromptMemory
from heliograph.vlm.tap import METHOD, feed_output, find_owner
from heliograph.vlm.verification import verification_of

_USUAL_SIZE = (640, 480)
_MAX_PATCH_READERS = 8

ImageInput = VisualTokens | Image.Image


class GeneralModel:
    """An unmodified model of any family with its processor, a :class:`heliograph.vlm.contract.TorchModel`.

    Slower than :class:`heliograph.vlm.model.VisionLanguageModel`, which knows one family: every answer is one call of
    the model's own ``generate``, and drafts are not verified but answered anew.

    Args:
        name: as it was loaded.
        model, processor: in evaluation mode.

    Raises:
        ModelUnsupportedError: its forward calls no ``get_image_features``, or its processor makes no prompt of a photo,
            for want of a chat template, say.
    """

    batches = False
    """Every question is a call of its own."""

    input_size = None
    """The photo's size decides how many tokens it has."""

    text = None
    """Prompts are the processor's own, as a whole."""

    def __init__(self, name: str, model: Any, processor: Any) -> None:
        self.name = name
        self.torch_model, self.processor = model, processor
        self._owner = find_owner(model)
        self._keeps_logits = "logits_to_keep" in inspect.signature(type(model).forward).parameters
        self._taken = frozenset(inspect.signature(getattr(type(self._owner), METHOD)).parameters)
        self._foreign = ForeignPrompts(processor, model)
        self._processed = self._foreign.made
        end = model.generation_config.eos_token_id
        self.end_ids = frozenset([end] if isinstance(end, int) else end or ())
        self._prompts = PromptMemory(self._make_prompt)
        self._positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.layouts = PhotoLayouts(
            lambda photos: self._processed("", photos), self._features, placeholder_id(model.config), self._positions
        )
        self._patch_readers = lru_cache(maxsize=_MAX_PATCH_READERS)(self._opened_patch_reader)
        try:
            layout, self.grid = self._opened()
        except Exception as error:  # a foreign processor can fail in any way on its first photo
            raise ModelUnsupportedError().noted(
                f"its processor or tower fails on a first photo: {reason_of(error)}."
            ) from error
        self.hidden_size = layout.width
        self.weights = WeightCheck(model)
        self._batches = BatchOpener(lambda: general_rows(self), self.weights)
        try:
            self._check_placeholders(layout)
        except Exception as error:  # foreign code, where prompt and tokens do not fit
            raise ModelUnsupportedError().noted(
                f"it fails on a first prompt with a photo of {layout.rows} tokens: {reason_of(error)}."
            ) from error

    def _opened(self) -> tuple[FeatureLayout, Grid]:
        """Layout and grid of a usual photo; and whether the processor takes photos in the call that makes prompts."""
        try:
            return self.layouts.first(_USUAL_SIZE)
        except ShapeError:  # some take a list of photos and no list of lists, which that call hands on
            self._foreign.in_one_call = False
            return self.layouts.first(_USUAL_SIZE)

    @torch.inference_mode()
    def _check_placeholders(self, layout: FeatureLayout) -> None:
        """One pass over a prompt with a usual photo: a processor that writes too few or too many placeholders, by a
        number of its configuration that does not fit the tower, fails now and not at every question.

        Raises:
            Exception: whatever the model's own forward raises then.
        """
        values = torch.zeros(layout.rows, layout.width, dtype=self.torch_model.dtype, device=self.torch_model.device)
        made = self._processed("what?", [Image.new("RGB", _USUAL_SIZE, GREY)])
        with feed_output(self._owner, output_with(values, layout)):
            self.torch_model(**made, **self.keeping_logits(1), use_cache=False)

    def keeping_logits(self, count: int) -> dict[str, int]:
        """The argument for logits of so many last positions alone, where the family's forward has one."""
        return {"logits_to_keep": count} if self._keeps_logits else {}

    def forget_questions(self) -> None:
        """Keep nothing of the questions that were asked; of photos only the sizes are kept."""
        forget_words(self.processor.tokenizer)
        self._prompts.forget()
        self._batches.forget()

    # ---- images ------------------------------------------------------------------------------------
    @torch.inference_mode()
    def encode_image(self, photo: Image.Image) -> VisualTokens:
        """Visual tokens (N, D) float32 of one photo; D counts every level that the language model reads.

        Raises:
            ShapeError: the processor does not take photos of such a shape, or it has more than 2**22 pixels.
            AnsweringFailedError: the tower gives values that are no tokens, or the checkpoint has damaged weights.
        """
        check_pixels(photo.size)
        self.weights.require()
        output = self._features(self._processed("", [photo]))
        grid = self.layouts.grid(photo.size)
        values = tokens_of(output).float().cpu().numpy()
        if values.shape[0] != grid.tokens:
            raise ModelUnsupportedError().noted(
                f"its processor makes {grid.tokens} placeholders for {values.shape[0]} tokens."
            )
        if not tokens_make_sense(values):
            raise AnsweringFailedError
        return VisualTokens(np.ascontiguousarray(values), grid)

    def encode_images(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        """Visual tokens of each photo, one after the other.

        Raises:
            ShapeError, AnsweringFailedError: as :meth:`encode_image`.
        """
        return [self.encode_image(photo) for photo in photos]

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that a stream states and no photo of the stated size has; next to nothing is made for it.

        Raises:
            ShapeError: such a grid.
        """
        self.layouts.check(grid)

    def expect_photos_like(self, grid: Grid) -> None:
        """Let streams state photos of about the size that a codec was fitted on, where that is a large one."""
        self.layouts.expect(grid)

    def pixels_read(self, size: Size) -> int:
        """Pixels that its processor makes of a photo of this width and height, in all tiles."""
        made = self._processed("", [Image.new("RGB", size, GREY)])
        grids = made.get("image_grid_thw")
        if grids is not None:
            return int(grids.prod(dim=-1).sum()) * int(self.processor.image_processor.patch_size) ** 2
        return int(made["pixel_values"].numel()) // 3

    def patch_reader(self, size: Size) -> TorchPatchReader:
        """The tower behind its first layer, for photos of a size that the processor keeps as it is.

        Raises:
            ModelUnsupportedError: it does not begin with an affine map of patches, or its processor changes pixels.
            ShapeError: the processor does not take photos of such a size, or it is larger than what may be stated.
        """
        self.layouts.check_size(size)
        return self._patch_readers(size)

    def _opened_patch_reader(self, size: Size) -> TorchPatchReader:
        grey = Image.new("RGB", size, GREY)
        resample = getattr(self.processor.image_processor, "resample", Image.Resampling.BICUBIC)
        return open_patch_reader(self.torch_model, size, self.encode_image, lambda: self.encode_image(grey), resample)

    def square_encoder(self) -> None:
        """Always None: tokens come from ``get_image_features`` alone."""

    def region_finder(self, setting: RegionSetting) -> AttentionFinder:
        """What finds regions by its attention.

        Raises:
            ModelUnsupportedError: its attention cannot be read, or has no such layer or number of heads.
        """
        return AttentionFinder(self, setting)

    def _features(self, made: dict[str, Any]) -> Any:
        """What the model's own tower makes of processed photos."""
        method = getattr(self._owner, METHOD)
        return method(**{name: value for name, value in made.items() if name in self._taken}, return_dict=True)

    # ---- answers -----------------------------------------------------------------------------------
    @torch.inference_mode()
    def answer(
        self, question: str, images: Sequence[ImageInput], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Answer:
        """The greedy answer to ``question`` about ``images`` (up to 8).

        Raises:
            QuestionEmptyError, QuestionTooLongError: the question cannot be asked, or not with so many photos.
            ShapeError, StreamDamagedError: tokens of the wrong shape for their photo's size, or not finite.
            AnsweringFailedError: the model gives logits that say nothing, or the checkpoint has damaged weights.
        """
        made, feeding = self.asked(question, images, max_new_tokens)
        with feeding:
            return self._generated(made, max_new_tokens)

    def asked(
        self, question: str, images: Sequence[ImageInput], max_new_tokens: int
    ) -> tuple[dict[str, Any], AbstractContextManager[None]]:
        """Arguments of the model's forward, and a context in which it takes them.

        Raises:
            HeliographError: as :meth:`answer`.
        """
        check_asked(question, images, max_new_tokens)
        if not any(isinstance(image, VisualTokens) for image in images):
            made = self._processed(question, [image for image in images if isinstance(image, Image.Image)])
            return made, nullcontext()
        tokens = [image if isinstance(image, VisualTokens) else self.encode_image(image) for image in images]
        values = np.concatenate([self._checked(one) for one in tokens])
        sizes = tuple(photo_size(one.grid) for one in tokens)
        output = output_with(torch.from_numpy(values).to(self.torch_model.device), self.layouts.of(sizes))
        return self._prompts.of(question, sizes), feed_output(self._owner, output)

    def prompt_ids(self, question: str, images: Sequence[ImageInput], max_new_tokens: int) -> tuple[int, ...]:
        """Ids of the prompt, told by the sizes of the photos.

        Raises:
            HeliographError: it cannot be asked.
        """
        check_asked(question, images, max_new_tokens)
        sizes = tuple(photo_size(one.grid) if isinstance(one, VisualTokens) else one.size for one in images)
        if sizes:
            self.layouts.of(sizes)
        made = self._prompts.of(question, sizes)
        self._check_length(made, max_new_tokens)
        return tuple(made["input_ids"][0].tolist())

    def answer_many(
        self, asked: Sequence[tuple[str, Sequence[ImageInput]]], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> list[Answer]:
        """Answers to (question, images) pairs, one after the other.

        Raises:
            HeliographError: as :meth:`answer`.
        """
        return [self.answer(question, images, max_new_tokens=max_new_tokens) for question, images in asked]

    def answer_logits(self, question: str, values: Tensor, grid: Grid, answer_ids: Sequence[int]) -> Tensor:
        """(A, V) logits at every token of a given answer; gradients flow into the visual tokens.

        Args:
            question: asked about one photo.
            values: (N, D) its visual tokens, of any float dtype.
            grid: of the photo.
            answer_ids: A token ids, such as those of an earlier answer.

        Raises:
            ShapeError: the tokens do not fit the grid, or the grid is none that a photo of its size has.
            QuestionEmptyError, QuestionTooLongError: the question cannot be asked.
            AnsweringFailedError: the logits say nothing, or the checkpoint has damaged weights.
        """
        check_text(question)
        self.weights.require()
        size = photo_size(grid)
        layout = self.layouts.of((size,))
        if values.shape != (layout.rows, layout.width):
            raise ShapeError().noted(
                f"tokens of such a photo have the shape {(layout.rows, layout.width)}, not {tuple(values.shape)}."
            )
        if self.layouts.grid(size) != grid:
            raise ShapeError().noted(f"a photo of this size has {self.layouts.grid(size)}, not {grid}.")
        made = self._prompts.of(question, (size,))
        self._check_length(made, max(1, len(answer_ids)))
        made = with_answer(made, without_placeholders(answer_ids, self.torch_model.config, self.end_ids))
        kept = self.keeping_logits(len(answer_ids) + 1)
        with feed_output(self._owner, output_with(values, layout)):
            logits: Tensor = self.torch_model(**made, **kept, use_cache=False).logits
        return finite(logits[0, -len(answer_ids) - 1 :])[:-1]

    def verify_draft(
        self, question: str, images: Sequence[ImageInput], draft: Answer, *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Verification:
        """The same answer, and how many of the draft's tokens are in it; made anew."""
        return verification_of(self.answer(question, images, max_new_tokens=max_new_tokens), draft)

    # ---- side by side ------------------------------------------------------------------------------
    def open_batch(
        self, capacity_tokens: int, *, prefill_tokens: int = PREFILL_TOKENS, shared_tokens: int = SHARED_TOKENS
    ) -> AnswerBatch | None:
        """A batch that questions can join and leave, each prompt read by itself; None where :attr:`one_at_a_time` says
        why not.

        Raises:
            UsageError: fewer than 1 position.
        """
        return self._batches.make(capacity_tokens, prefill_tokens, shared_tokens)

    @property
    def one_at_a_time(self) -> str | None:
        """Why :meth:`open_batch` gives None; None where it does not."""
        return self._batches.refused

    # ---- insides -----------------------------------------------------------------------------------
    def _checked(self, tokens: VisualTokens) -> np.ndarray:
        """(N, D) float32 of tokens that fit their photo's size."""
        layout = self.layouts.of((photo_size(tokens.grid),))
        if tokens.values.shape != (layout.rows, layout.width):
            raise ShapeError().noted(
                f"tokens of such a photo have the shape {(layout.rows, layout.width)}, not {tokens.values.shape}."
            )
        if not tokens_make_sense(tokens.values):
            raise StreamDamagedError(StreamFault.VALUE)
        return np.ascontiguousarray(tokens.values, dtype=np.float32)

    def _make_prompt(self, question: str, sizes: tuple[Size, ...]) -> dict[str, Any]:
        return self._processed(question, [Image.new("RGB", size, GREY) for size in sizes])

    def _check_length(self, made: dict[str, Any], limit: int) -> None:
        """Prompt and longest answer must fit the positions that the model was made for.

        Raises:
            QuestionTooLongError: they do not.
        """
        if self._positions is not None and made["input_ids"].shape[1] + limit > self._positions:
            raise QuestionTooLongError

    def _generated(self, made: dict[str, Any], limit: int) -> Answer:
        self.weights.require()
        self._check_length(made, limit)
        needs = {"tokenizer": self.processor.tokenizer} if self.torch_model.generation_config.stop_strings else {}
        out = self.torch_model.generate(
            **made,
            **needs,
            do_sample=False,
            max_new_tokens=limit,
            num_return_sequences=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        ids, logits = generated_ids(out)
        return self.answer_of(steps_of(finite(logits), ids))

    def answer_of(self, steps: Sequence[Step]) -> Answer:
        """The answer in these steps.

        Raises:
            AnsweringFailedError: there is none.
        """
        content = [step.token_id for step in steps if step.token_id not in self.end_ids]
        text = self.processor.tokenizer.decode(content, skip_special_tokens=True).strip()
        return to_answer(steps, self.end_ids, str(text))
