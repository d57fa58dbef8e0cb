"""The model in the cloud, as every other room sees it: visual tokens or images in, answers out.

Data flow of one answer::

    question --PromptBuilder--> ids (1, L) ----------------------------┐
    images ---- VisualTokens (N, D) --tap--> features ------------------┼--forward--> logits (1, V) --greedy--> Answer
            \\-- PIL image --processor--> pixels (1, images, 3, H, W) --┘
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from heliograph.controllers.region.find import RegionSetting
from heliograph.errors import (
    ModelUnsupportedError,
    QuestionTooLongError,
    ShapeError,
    UsageError,
)
from heliograph.question import DEFAULT_ANSWER_TOKENS
from heliograph.types import Answer, Grid, VisualTokens
from heliograph.vlm.attention import AttentionFinder
from heliograph.vlm.batching import answer_batch
from heliograph.vlm.checkpoint.loading import load_pretrained
from heliograph.vlm.continuous.engine import ContinuousBatch
from heliograph.vlm.continuous.forward import PackedForward
from heliograph.vlm.continuous.opening import BatchOpener
from heliograph.vlm.continuous.quick import QuickRows
from heliograph.vlm.contract import PREFILL_TOKENS, SHARED_TOKENS, Verification
from heliograph.vlm.decoding import Decoder, Step, to_answer
from heliograph.vlm.image_reader import ImageReader
from heliograph.vlm.patch_reading import TorchPatchReader, open_patch_reader
from heliograph.vlm.prompt import Prompt, PromptBuilder, without_placeholders
from heliograph.vlm.square_encoder import SquareEncoder
from heliograph.vlm.text_model import TextModel
from heliograph.vlm.verification import verify_steps

ImageInput = VisualTokens | Image.Image

_FAMILY = ("idefics3", "smolvlm")


class VisionLanguageModel:
    """An unmodified model with its processor: encodes images, answers from tokens or pixels, verifies drafts.

    A :class:`heliograph.vlm.contract.TorchModel` of one family, Idefics3, with one frame per photo;
    :class:`heliograph.vlm.general.GeneralModel` takes any. Calls from several threads are safe but gain nothing; give
    one worker thread the model.

    Raises:
        ModelUnsupportedError: another family, photos that are split into tiles, a processor that writes another number
            of placeholders than a photo has tokens, a prompt that does not split after the images, or a generation
            config that takes ``generate`` itself.
    """

    batches = True
    """Questions are answered side by side, and those about one photo share a pass over it."""

    def __init__(self, name: str, model: Any, processor: Any) -> None:
        if not _one_frame_per_photo(model, processor):
            raise ModelUnsupportedError().noted(
                "it is no Idefics3 or SmolVLM model, or its processor splits photos into tiles."
            )
        self.name = name
        self.torch_model = model
        self.processor = processor
        text_config = model.config.get_text_config()
        self._vocabulary = int(text_config.vocab_size)
        self._positions = int(text_config.max_position_embeddings)
        self.prompts = PromptBuilder(processor, model.config.image_token_id)
        self.decoder = Decoder(model)
        self.text = TextModel(model, self.prompts, self.decoder.rules)
        self.hidden_size = int(text_config.hidden_size)
        side = math.isqrt(int(processor.image_seq_len))
        self.grid = Grid(side, side)
        self.input_size = int(processor.image_processor.max_image_size["longest_edge"])
        self._patch_reader: TorchPatchReader | None = None
        self.images = ImageReader(model, self.prompts, self.decoder, self.grid, self.hidden_size)
        self._batches = BatchOpener(lambda: (QuickRows(self), PackedForward(model)), self.decoder.weights)
        self._check_placeholders()

    @torch.inference_mode()
    def _check_placeholders(self) -> None:
        """One frame through the tower: the processor must write as many placeholders as it has tokens.

        Raises:
            ModelUnsupportedError: it writes others, as with a wrong ``image_seq_len``.
        """
        blank = self.prompts.blank(1)
        made = self.torch_model.get_image_features(
            pixel_values=blank.pixel_values.to(self.decoder.device, self.decoder.dtype),
            pixel_attention_mask=blank.pixel_attention_mask.to(self.decoder.device),
            return_dict=True,
        )
        written = self.prompts.build("what?", 1).head.count(self.torch_model.config.image_token_id)
        tokens = sum(one.flatten(0, -2).shape[0] for one in made.pooler_output)
        if not tokens == written == self.grid.tokens:
            raise ModelUnsupportedError().noted(
                f"its processor writes {written} placeholders for {tokens} tokens of the tower; "
                f"its image_seq_len is {self.processor.image_seq_len}."
            )

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> Self:
        """Load ``reference``, a folder or a hub id.

        Raises:
            ModelUnavailableError: nothing loadable there.
            ModelUnsupportedError: no image-feature tap, or a prompt that does not split after the images.
        """
        return cls(name, *load_pretrained(name, device))

    # ---- images ------------------------------------------------------------------------------------
    def encode_image(self, photo: Image.Image) -> VisualTokens:
        """Visual tokens (N, D) float32 of one photo."""
        return self.encode_images([photo])[0]

    @torch.inference_mode()
    def encode_images(self, photos: Sequence[Image.Image]) -> list[VisualTokens]:
        """Visual tokens of several photos in one pass of the model's own encoder.

        Raises:
            AnsweringFailedError: it gives values that are no tokens, or the checkpoint has damaged weights.
        """
        return self.images.encode(photos)

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that a stream states and this model's tokens never have.

        Raises:
            ShapeError: another number of rows, columns or tiles.
        """
        if (grid.rows, grid.columns, grid.tiles) != (self.grid.rows, self.grid.columns, self.grid.tiles):
            raise ShapeError().noted(f"this model makes {self.grid} of every photo, not {grid}.")

    def expect_photos_like(self, grid: Grid) -> None:
        """Every photo has the same number of tokens, whatever its size.

        Raises:
            ModelUnsupportedError: another number.
        """
        if grid.tokens != self.grid.tokens:
            raise ModelUnsupportedError().noted(
                f"the codec is for photos of {grid.tokens} tokens, and this model makes {self.grid.tokens} of each."
            )

    def pixels_read(self, size: tuple[int, int]) -> int:
        """Pixels that its processor makes of any photo."""
        return self.input_size**2

    def merge_visual_tokens(self, count: int | None) -> None:
        """Give the language model at most so many visual tokens of a photo from now on, each of which stands for those
        that are like it (:mod:`heliograph.vlm.merged_tokens`); None for all.

        Raises:
            UsageError: fewer than one.
        """
        if count is not None and count < 1:
            raise UsageError.of_argument("visual tokens", "1 or more", count)
        self.images.visual_tokens = None if count is None or count >= self.grid.tokens else count

    def patch_reader(self, size: tuple[int, int]) -> TorchPatchReader:
        """The tower behind its first layer.

        Raises:
            ModelUnsupportedError: it does not begin with an affine map of patches, or its processor changes pixels.
            ShapeError: photos of another size than the one square's.
        """
        if size != (self.input_size, self.input_size):
            raise ShapeError().noted(
                f"this model reads {self.input_size}x{self.input_size} pixels, not {size[0]}x{size[1]}."
            )
        if self._patch_reader is None:
            self._patch_reader = self._opened_patch_reader(size)
        return self._patch_reader

    def _opened_patch_reader(self, size: tuple[int, int]) -> TorchPatchReader:
        @torch.inference_mode()
        def blank() -> VisualTokens:
            return self.images.blank()

        resample = self.processor.image_processor.resample
        return open_patch_reader(self.torch_model, size, self.encode_image, blank, resample)

    def square_encoder(self) -> SquareEncoder:
        """Tower and projector: pixels (1, 3, S, S) float32 to tokens (1, N, D) float32."""
        return SquareEncoder(self.torch_model)

    def region_finder(self, setting: RegionSetting) -> AttentionFinder:
        """What finds regions by its attention.

        Raises:
            ModelUnsupportedError: no such layer or number of heads.
        """
        return AttentionFinder(self, setting)

    def forget_questions(self) -> None:
        """Keep nothing of the questions that were asked; the next ones are tokenised anew, and batches that are open
        compute the heads of their prompts anew."""
        self.prompts.forget_questions()
        self._batches.forget()

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self.decoder.end_ids

    # ---- answers -----------------------------------------------------------------------------------
    @torch.inference_mode()
    def answer(
        self, question: str, images: Sequence[ImageInput], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Answer:
        """The greedy answer to ``question`` about ``images`` (up to 8: global first, then crops).

        Raises:
            QuestionEmptyError, QuestionTooLongError: the question cannot be asked.
            ShapeError, StreamDamagedError: tokens of the wrong shape, or not finite.
        """
        return self.answer_of(list(self._steps(question, images, max_new_tokens)))

    def stream(
        self, question: str, images: Sequence[ImageInput], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Iterator[str]:
        """The same answer in pieces as they are generated; joined (and stripped) they are ``answer().text``."""
        ids: list[int] = []
        yielded = ""
        steps = self._steps(question, images, max_new_tokens)
        while True:
            with torch.inference_mode():  # not held while the consumer runs
                step = next(steps, None)
            if step is None or step.token_id in self.decoder.end_ids:
                break
            ids.append(step.token_id)
            text = self.prompts.decode(ids)
            if text.startswith(yielded) and text != yielded and not text.endswith("\ufffd"):
                yield text[len(yielded) :]
                yielded = text
        text = self.prompts.decode(ids)
        if text != yielded:
            yield text[len(yielded) :]

    @torch.inference_mode()
    def answer_many(
        self, asked: Sequence[tuple[str, Sequence[ImageInput]]], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> list[Answer]:
        """Answers to many (question, images) pairs, equal to :meth:`answer` text for text, in batches.

        Pairs that share the same image objects share one pass over them.
        """
        prompts = [self.prompt(question, len(images), max_new_tokens) for question, images in asked]
        shown = [tuple(images) for _, images in asked]
        steps = answer_batch(self.decoder, prompts, shown, self.images.inputs, max_new_tokens)
        return [self.answer_of(one) for one in steps]

    def answer_questions(
        self, images: Sequence[ImageInput], questions: Sequence[str], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> list[Answer]:
        """Answers to several questions about the same images, which pass through the model once."""
        return self.answer_many([(question, images) for question in questions], max_new_tokens=max_new_tokens)

    # ---- side by side ------------------------------------------------------------------------------
    def open_batch(
        self, capacity_tokens: int, *, prefill_tokens: int = PREFILL_TOKENS, shared_tokens: int = SHARED_TOKENS
    ) -> ContinuousBatch | None:
        """A batch that questions can join and leave; None where :attr:`one_at_a_time` says why not.

        Raises:
            UsageError: fewer than 1 position.
        """
        return self._batches.make(capacity_tokens, prefill_tokens, shared_tokens)

    @property
    def one_at_a_time(self) -> str | None:
        """Why :meth:`open_batch` gives None; None where it does not."""
        return self._batches.refused

    # ---- drafts ------------------------------------------------------------------------------------
    def verify(
        self, question: str, images: Sequence[ImageInput], draft: Answer, *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Answer:
        """Equal to :meth:`answer`: one pass if the draft holds, new tokens only after its first change."""
        return self.verify_draft(question, images, draft, max_new_tokens=max_new_tokens).answer

    @torch.inference_mode()
    def verify_draft(
        self, question: str, images: Sequence[ImageInput], draft: Answer, *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Verification:
        """Like :meth:`verify`, and says how many of the draft's tokens were kept."""
        prompt = self.prompt(question, len(images), max_new_tokens)
        frames, features = self.images.inputs(images)
        steps, kept = verify_steps(self.decoder, prompt, frames, features, self.guess(draft), max_new_tokens)
        return Verification(self.answer_of(steps), kept)

    def guess(self, draft: Answer) -> list[int]:
        """The draft's ids up to the first that is none of the vocabulary, or stands for a visual token: among given ids
        it would claim another image's."""
        image = self.torch_model.config.image_token_id
        return list(takewhile(lambda token: 0 <= token < self._vocabulary and token != image, draft.token_ids))

    # ---- insides -----------------------------------------------------------------------------------
    def answer_logits(self, question: str, values: Tensor, grid: Grid, answer_ids: Sequence[int]) -> Tensor:
        """(A, V) logits at every token of a given answer; gradients flow into the visual tokens (N, D).

        Raises:
            ShapeError: the tokens are not (grid.tokens, hidden_size), or the grid is none of this model's.
            QuestionEmptyError, QuestionTooLongError: the question cannot be asked.
            AnsweringFailedError: the logits say nothing, or the checkpoint has damaged weights.
        """
        self.check_grid(grid)
        if values.shape != (self.grid.tokens, self.hidden_size):
            raise ShapeError().noted(
                f"tokens have the shape {(self.grid.tokens, self.hidden_size)}, not {tuple(values.shape)}."
            )
        prompt = self.prompt(question, 1, max(1, len(answer_ids)))
        answer = without_placeholders(answer_ids, self.torch_model.config, self.end_ids)
        ids = torch.tensor([[*prompt.head, *prompt.tail, *answer]])
        given = [values.to(self.decoder.dtype)]
        return self.decoder.teacher_forced(ids, self.prompts.blank(1), given, len(answer_ids))[0]

    # ---- shared ------------------------------------------------------------------------------------
    def prompt(self, question: str, images: int, max_new_tokens: int) -> Prompt:
        """The prompt, if it and the longest answer fit the positions that the model was made for.

        Raises:
            QuestionEmptyError, QuestionTooLongError: it cannot be asked.
            UsageError: fewer than 1 new token, or too many images.
        """
        if max_new_tokens < 1:
            raise UsageError.of_argument("max_new_tokens", "1 or more", max_new_tokens)
        prompt = self.prompts.build(question, images)
        if len(prompt.head) + len(prompt.tail) + max_new_tokens > self._positions:
            raise QuestionTooLongError
        return prompt

    def _steps(self, question: str, images: Sequence[ImageInput], limit: int) -> Iterator[Step]:
        prompt = self.prompt(question, len(images), limit)
        frames, features = self.images.inputs(images)
        ids = prompt.head + prompt.tail
        logits, cache = self.decoder.prefill(torch.tensor([ids]), frames, features)
        return self.decoder.greedy(logits[0, -1], cache, limit, self.decoder.rules.row(ids, limit))

    def answer_of(self, steps: Sequence[Step]) -> Answer:
        """The answer in these steps.

        Raises:
            AnsweringFailedError: there is none.
        """
        kept = [step.token_id for step in steps if step.token_id not in self.decoder.end_ids]
        return to_answer(steps, self.decoder.end_ids, self.prompts.decode(kept))


def _one_frame_per_photo(model: Any, processor: Any) -> bool:
    """Whether this is the family that the quick path knows, with photos that are not split into tiles."""
    if getattr(model.config, "model_type", None) not in _FAMILY:
        return False
    return hasattr(processor, "image_seq_len") and not getattr(processor.image_processor, "do_image_splitting", False)
