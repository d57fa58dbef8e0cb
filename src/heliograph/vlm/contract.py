"""What a model in the cloud offers, so that no other room asks which class it is.

::

    serving ------------------------> AnsweringModel   photos, tokens and questions in, answers out; needs no torch
    training, bench, vlm.attention -> TorchModel       the same, and its insides: weights, gradients, pixels

Where models differ they say so in an attribute or a method, and each has a meaning of its own: ``input_size`` tells
whether there is one frame for all photos, ``batches`` whether many questions cost little more than one, ``text``
whether prompts can be put together outside the processor, ``square_encoder`` whether there is a module from pixels to
tokens, ``region_finder`` whether attention can be read, ``patch_reader`` whether the tower takes embedded patches in
place of pixels, ``merge_visual_tokens`` whether the language model can be given fewer tokens of a photo,
``open_batch`` whether questions can join and leave while others are answered. A class of another package that has
these members is served, fitted and measured as the two here are: :class:`heliograph.vlm.model.VisionLanguageModel`,
quick, of one family, and :class:`heliograph.vlm.general.GeneralModel`, of any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from heliograph.errors import HeliographError
from heliograph.question import DEFAULT_ANSWER_TOKENS
from heliograph.types import Answer, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn

    from heliograph.controllers.region.find import Found, RegionSetting
    from heliograph.strategies.towers import PatchReader
    from heliograph.vlm.text_model import TextModel

    ImageInput = VisualTokens | Image

PREFILL_TOKENS = 512
"""Positions of new prompts in one step of a batch: about where a processor's time per position stops falling."""

SHARED_TOKENS = 4096
"""Cache positions that a batch keeps of images for the next question about them."""


@dataclass(frozen=True)
class Verification:
    """A verified draft: the answer, and how many of the draft's tokens were kept."""

    answer: Answer
    kept_tokens: int


@dataclass(frozen=True, eq=False)
class BatchRequest:
    """One question for an :class:`AnswerBatch`; each object is a request of its own.

    Attributes:
        question: as asked.
        images: photos, or tokens (N, D) float32; none where the question says what there is to know.
        draft: an earlier answer to verify; None without one.
        max_new_tokens: longest answer.
    """

    question: str
    images: Sequence[ImageInput]
    draft: Answer | None = None
    max_new_tokens: int = DEFAULT_ANSWER_TOKENS


@dataclass(frozen=True, eq=False)
class EndedRequest:
    """What became of a request: an answer with the draft's tokens in it, or the error that it alone ended with."""

    request: BatchRequest
    verified: Verification | None
    error: HeliographError | None


class AnswerBatch(Protocol):
    """Questions that are answered side by side, and join and leave between steps.

    ::

        cost(request) <= room? --admit--> [ waiting | row | row | row ] --step, step, step--> EndedRequest

    Answers are those of :meth:`AnsweringModel.answer` and :meth:`AnsweringModel.verify_draft`, texts and ids, whatever
    stands beside them; confidences are equal but for the last digits. One thread calls everything here but
    :meth:`forget`, the thread that calls the model.
    """

    capacity_tokens: int
    """Cache positions that requests may cost together. Memory is bounded by twice as many, and ``shared_tokens``."""

    @property
    def held_tokens(self) -> int:
        """Cache positions that the admitted requests cost."""

    @property
    def shared_tokens(self) -> int:
        """Cache positions that are kept of images for the next question about them."""

    def __len__(self) -> int:
        """Requests that are admitted and have not ended."""

    def cost(self, request: BatchRequest) -> int:
        """Cache positions that a request is given, from its prompt and its longest answer, rounded up as the cache is
        laid out; 0 for one that cannot be asked. It looks at no image."""

    def fits(self, request: BatchRequest) -> bool:
        """Whether a request can be admitted now: there is room for its cost, or nobody else is here."""

    def admit(self, request: BatchRequest) -> None:
        """Take a request; what is wrong with it is said by the next step.

        Raises:
            UsageError: it does not fit, or it is here already.
        """

    def step(self) -> list[EndedRequest]:
        """One forward pass: a token or more of every row, and the prompts of the next that wait, no more of them than a
        bound, so that the others need not stand still. What has ended with it, in order of admission."""

    def drop(self, request: BatchRequest) -> bool:
        """Stop work on a request at once and forget it; False where it has ended already."""

    def forget(self) -> None:
        """Keep nothing of questions and images that have ended; any thread may ask for it, and waits for nobody."""


class RegionFinder(Protocol):
    """Tells where a question looks; :class:`heliograph.vlm.attention.AttentionFinder` reads it from attention."""

    def find(self, question: str, tokens: VisualTokens, photo_size: tuple[int, int]) -> Found:
        """The region that a question is about.

        Args:
            question: as asked.
            tokens: (N, D) of the photo.
            photo_size: width and height in pixels.

        Raises:
            ModelUnsupportedError: attention of this model cannot be read.
            ShapeError, QuestionEmptyError, QuestionTooLongError: these tokens or this question cannot be asked about.
        """


class AnsweringModel(Protocol):
    """Answers questions about photos, from pixels or from visual tokens (N, D) float32.

    One thread calls it at a time, but for :meth:`check_grid`, which any thread may call.
    """

    @property
    def name(self) -> str:
        """The name it was loaded by: ``reference``, a folder or a hub id."""

    @property
    def hidden_size(self) -> int:
        """D, channels of a visual token; counts every level that the language model reads."""

    @property
    def grid(self) -> Grid:
        """How the tokens of a photo lie: of every photo, or where sizes differ of a usual one."""

    def check_grid(self, grid: Grid) -> None:
        """Refuse, at next to no cost, a grid that a stream states and that this model's tokens never have.

        Raises:
            ShapeError: such a grid.
        """

    def expect_photos_like(self, grid: Grid) -> None:
        """Be ready for photos with tokens like those that a codec was fitted on.

        Raises:
            ModelUnsupportedError: this model makes no such tokens of any photo.
        """

    def encode_image(self, photo: Image) -> VisualTokens:
        """Visual tokens (N, D) float32 of one photo, RGB of any size.

        Raises:
            ShapeError: the model's processor does not take photos of such a shape.
            AnsweringFailedError: it gives values that are no tokens, or the checkpoint has damaged weights.
        """

    def encode_images(self, photos: Sequence[Image]) -> list[VisualTokens]:
        """The same of several photos, in order.

        Raises:
            ShapeError, AnsweringFailedError: as :meth:`encode_image`.
        """

    def answer(
        self, question: str, images: Sequence[ImageInput], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Answer:
        """The greedy answer about up to 8 images, the whole photo first, then crops.

        Args:
            question: at most 2,000 characters.
            images: photos, or tokens (N, D) float32 as :meth:`encode_image` gives them; none where the question says
                what there is to know.
            max_new_tokens: longest answer.

        Raises:
            QuestionEmptyError, QuestionTooLongError: the question cannot be asked, or not with so many images.
            UsageError: more than 8 images, or fewer than 1 new token.
            ShapeError, StreamDamagedError: tokens of a shape that no photo has, or values that are no tokens.
            AnsweringFailedError: the model gives logits that say nothing, or the checkpoint has damaged weights.
        """

    def answer_many(
        self, asked: Sequence[tuple[str, Sequence[ImageInput]]], *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> list[Answer]:
        """Answers to (question, images) pairs, in order, each with the text of :meth:`answer`.

        Raises:
            HeliographError: as :meth:`answer`.
        """

    def verify_draft(
        self, question: str, images: Sequence[ImageInput], draft: Answer, *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS
    ) -> Verification:
        """The answer of :meth:`answer`, never longer than ``max_new_tokens``, whatever the draft holds; and how many of
        the draft's leading tokens are in it.

        Raises:
            HeliographError: as :meth:`answer`.
        """

    def open_batch(
        self, capacity_tokens: int, *, prefill_tokens: int = PREFILL_TOKENS, shared_tokens: int = SHARED_TOKENS
    ) -> AnswerBatch | None:
        """Side by side; None where this model can only answer one question after the other, for the reason in
        :attr:`one_at_a_time`. A class of another package may do without it, and is asked one by one.

        Args:
            capacity_tokens: cache positions that requests may cost together.
            prefill_tokens: most positions of new prompts in one step; a longer prompt is read in a step of its own.
            shared_tokens: most cache positions that are kept of images whose questions have ended.

        Raises:
            UsageError: fewer than 1 position.
        """

    @property
    def one_at_a_time(self) -> str | None:
        """Why this model answers one question after the other, for people; None where it does not."""

    def patch_reader(self, size: tuple[int, int]) -> PatchReader:
        """The vision tower behind its first map, for photos of this width and height; a class of another package may
        do without it, and is then sent no coefficients.

        Raises:
            ModelUnsupportedError: it does not begin with an affine map of patches, or its processor changes pixels.
            ShapeError: it is not for photos of this size.
        """

    def region_finder(self, setting: RegionSetting) -> RegionFinder:
        """What finds regions by this model's attention, read with a setting.

        Raises:
            ModelUnsupportedError: its attention cannot be read, or has no such layer or number of heads.
        """

    def forget_questions(self) -> None:
        """Keep nothing of the questions that were asked."""


class TorchModel(AnsweringModel, Protocol):
    """An answering model that is a module of torch, with what fitting, export and measurements need of it."""

    @property
    def torch_model(self) -> Any:
        """The ``nn.Module`` with ``config`` and ``generation_config`` as transformers has them, in evaluation mode."""

    @property
    def processor(self) -> Any:
        """The processor, with ``image_processor`` and ``tokenizer``."""

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer; may be empty."""

    @property
    def input_size(self) -> int | None:
        """Side in pixels of the one square that every photo is brought into, so that all have :attr:`grid`; None where
        a photo's size decides how many tokens it has."""

    @property
    def batches(self) -> bool:
        """Whether :meth:`answer_many` asks side by side, so that many questions about a photo cost little more than
        one; else it asks one after the other."""

    @property
    def text(self) -> TextModel | None:
        """The language model behind the tokens, for sequences of the caller's own making; None where only the model's
        own processor and ``forward`` can put images and words together."""

    def square_encoder(self) -> nn.Module | None:
        """Tower and projector as one module, pixels (1, 3, S, S) float32 of the one square to tokens (1, N, D) float32,
        whose pixels a device makes as ``image_processor`` says; None where only ``get_image_features`` makes tokens."""

    def pixels_read(self, size: tuple[int, int]) -> int:
        """Pixels that the processor makes of a photo of this width and height, in all tiles."""

    def answer_logits(self, question: str, values: Tensor, grid: Grid, answer_ids: Sequence[int]) -> Tensor:
        """(A, V) logits at every token of a given answer, in one forward pass; gradients flow into the visual tokens.

        Args:
            question: asked about one photo.
            values: (N, D) its visual tokens, of any float dtype, on the model's device.
            grid: of the photo.
            answer_ids: A token ids, such as those of an earlier answer; none for a pass over the prompt alone.

        Raises:
            ShapeError: the tokens do not fit the grid, or the grid is none of this model's.
            QuestionEmptyError, QuestionTooLongError: the question cannot be asked.
            AnsweringFailedError: the logits say nothing, or the checkpoint has damaged weights.
        """
