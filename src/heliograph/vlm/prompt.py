"""Prompts from the model's own processor and chat template, with user text kept out of the control tokens.

The judge is ``apply_chat_template(..., tokenize=True)``: where template and tokenizer both write a first token, that
call alone has it once.

A prompt is a head (chat opening and one run of placeholders per image, the same for every question) and a tail
(question and chat closing). The head is made once per number of images, from blank images, so that the cloud needs
no pixels; the split also lets many questions share what the language model computed for the head.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from heliograph.errors import ModelUnsupportedError, UsageError
from heliograph.prompt_text import neutralised
from heliograph.question import check_text

MAX_IMAGES_PER_QUESTION = 8
_SENTINEL = "\ue000heliograph\ue001"
_PROBES = ("Is there a red circle?", "what colour is it", "7 or 8?")


@dataclass(frozen=True)
class Prompt:
    """Token ids of one prompt; ``head + tail`` is what the processor makes of chat template, images and question."""

    head: tuple[int, ...]
    tail: tuple[int, ...]


@dataclass(frozen=True)
class FrameInputs:
    """What the processor makes of images: ``pixel_values`` (1, images, 3, H, W) f32 and its mask (1, images, H, W)."""

    pixel_values: Tensor
    pixel_attention_mask: Tensor


class PromptBuilder:
    """Builds prompts and pixel inputs for one processor (one frame per image, no splitting into tiles)."""

    def __init__(self, processor: Any, image_token_id: int) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._image_token_id = image_token_id
        control = control_tokens(self._tokenizer)
        self._control_ids = frozenset(control)
        self._control_names = tuple(control.values())
        self._cached_tail = lru_cache(maxsize=2048)(self._make_tail)  # questions of strangers: bounded
        self._cached_head = lru_cache(maxsize=9)(self._make_head)
        self._cached_blank = lru_cache(maxsize=9)(self._make_blank)
        self._check_split()

    def build(self, question: str, images: int) -> Prompt:
        """The prompt for ``images`` images followed by ``question``.

        Control tokens written out in the question stay plain text: they never become control tokens.

        Raises:
            QuestionEmptyError: nothing but white space.
            QuestionTooLongError: over 2000 characters.
            UsageError: more than 8 images; or the question is not Unicode.
        """
        if not 0 <= images <= MAX_IMAGES_PER_QUESTION:
            raise UsageError.of_argument("the number of images", f"up to {MAX_IMAGES_PER_QUESTION}", images)
        check_text(question)
        prompt = Prompt(self._cached_head(images), self._cached_tail(question.strip(), images))
        if images:
            return prompt
        whole = prompt.head + prompt.tail  # a prompt without images is all tail, and passes share a head
        return Prompt(whole[:1], whole[1:])

    def pixels(self, images: list[Image.Image]) -> FrameInputs:
        """The processor's pixel inputs for RGB images."""
        made = self._processor.image_processor(
            [[image.convert("RGB") for image in images]], do_image_splitting=False, return_tensors="pt"
        )
        return FrameInputs(made["pixel_values"], made["pixel_attention_mask"])

    def blank(self, images: int) -> FrameInputs:
        """Placeholder frames (white, since the model takes all-zero frames for padding), for the tap to replace."""
        return self._cached_blank(images)

    def decode(self, token_ids: list[int] | tuple[int, ...]) -> str:
        """Answer text without control tokens and outer white space."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True)).strip()

    def neutralise(self, question: str) -> str:
        """``question`` with a space put into every written-out control token, so that it reads as plain text."""
        return neutralised(question, self._control_names)

    def forget_questions(self) -> None:
        """Empty the caches that hold questions, or words of them."""
        self._cached_tail.cache_clear()
        forget_words(self._tokenizer)

    def _make_blank(self, images: int) -> FrameInputs:
        if images:
            return self.pixels([self._white()] * images)
        one = self.blank(1)
        return FrameInputs(one.pixel_values[:, :0], one.pixel_attention_mask[:, :0])

    def _white(self) -> Image.Image:
        size = self._processor.image_processor.max_image_size["longest_edge"]
        return Image.new("RGB", (size, size), (255, 255, 255))

    def _rendered(self, question: str, images: int) -> str:
        messages = messages_of(question, [None] * images)
        return str(self._processor.apply_chat_template(messages, add_generation_prompt=True))

    def _processed_ids(self, question: str, images: int) -> tuple[int, ...]:
        """Ids of the whole prompt, by the processor itself."""
        made = self._processor.apply_chat_template(
            messages_of(question, [self._white()] * images),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            processor_kwargs={"do_image_splitting": False},
        )
        return tuple(int(i) for i in made["input_ids"][0])

    def around_question(self) -> tuple[str, str]:
        """The text between one image and the question, and that behind the question up to where the answer begins."""
        before, _, after = self._text_after_images(_SENTINEL, 1).partition(_SENTINEL)
        return before, after

    def _text_after_images(self, question: str, images: int) -> str:
        before, found, after = self._rendered(_SENTINEL, images).partition(_SENTINEL)
        if not found:
            raise ModelUnsupportedError().noted("its chat template leaves the question out.")
        return before.rpartition(self._processor.image_token)[2] + question + after

    def _make_head(self, images: int) -> tuple[int, ...]:
        whole = self._processed_ids(_PROBES[0], images)
        tail = self._encode(self._text_after_images(_PROBES[0], images))
        return whole[: len(whole) - len(tail)]

    def _make_tail(self, question: str, images: int) -> tuple[int, ...]:
        ids = self._encode(self._text_after_images(self.neutralise(question), images))
        frame = self._encode(self._text_after_images("", images))
        if _count(ids, self._control_ids) == _count(frame, self._control_ids):
            return ids
        # A normaliser made a control token out of harmless text: encode the question on its own and drop them.
        before, _, after = self._text_after_images(_SENTINEL, images).partition(_SENTINEL)
        plain = tuple(i for i in self._encode(self.neutralise(question)) if i not in self._control_ids)
        return self._encode(before) + plain + self._encode(after)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _check_split(self) -> None:
        """Head and tail, tokenised apart, must be what the processor makes of the whole prompt.

        Raises:
            ModelUnsupportedError: this tokenizer or template does not split after the images.
        """
        for images in (1, 2):
            head = self._cached_head(images)
            if self._image_token_id not in head:
                raise ModelUnsupportedError().noted(f"its processor writes no placeholder for {images} photo(s).")
            for probe in _PROBES:
                if head + self._cached_tail(probe, images) != self._processed_ids(probe, images):
                    raise ModelUnsupportedError().noted("its tokenizer joins the question to what stands before it.")


def check_asked(question: str, images: Sequence[Any], max_new_tokens: int) -> None:
    """Refuse what no model is asked.

    Raises:
        QuestionEmptyError, QuestionTooLongError: nothing but white space, or over 2000 characters.
        UsageError: more than 8 images, fewer than 1 new token, or the question is not Unicode.
    """
    if max_new_tokens < 1:
        raise UsageError.of_argument("max_new_tokens", "1 or more", max_new_tokens)
    if len(images) > MAX_IMAGES_PER_QUESTION:
        raise UsageError.of_argument("the number of images", f"up to {MAX_IMAGES_PER_QUESTION}", len(images))
    check_text(question)


def messages_of(question: str, photos: Sequence[Image.Image | None]) -> list[dict[str, Any]]:
    """One turn of a user, photos first; None stands for a photo in a text that is rendered without any."""
    content: list[dict[str, Any]] = [
        {"type": "image"} if photo is None else {"type": "image", "image": photo} for photo in photos
    ]
    content.append({"type": "text", "text": question})
    return [{"role": "user", "content": content}]


def placeholder_id(config: Any) -> int | None:
    """The id that stands for one visual token in a family's prompts; None where its configuration names none."""
    for name in ("image_token_id", "image_token_index"):
        value = getattr(config, name, None)
        if isinstance(value, int):
            return value
    return None


def without_placeholders(answer_ids: Sequence[int], config: Any, ends: Collection[int]) -> list[int]:
    """Ids of an answer to be read again, without the one that stands for a visual token.

    A model may say it, as any other token; among the ids that it is given it would claim the tokens of a photo that is
    not there. The end of an answer stands in its place.
    """
    placeholder, instead = placeholder_id(config), min(ends, default=0)
    return [instead if one == placeholder else one for one in answer_ids]


def control_tokens(tokenizer: Any) -> dict[int, str]:
    """Special tokens, and added ones that are spelled like markup; added ordinary words are not control tokens."""
    found = dict(zip(tokenizer.all_special_ids, map(str, tokenizer.all_special_tokens), strict=True))
    for token_id, token in tokenizer.added_tokens_decoder.items():
        if token.special or str(token).startswith("<"):
            found[token_id] = str(token)
    return found


def forget_words(tokenizer: Any) -> None:
    """Empty the cache of words inside a tokenizer: BPE and Unigram keep ten thousand of what they were given."""
    clear = getattr(getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None), "_clear_cache", None)
    if clear is not None:  # other models of the library cache nothing
        clear()


def _count(ids: tuple[int, ...], control: frozenset[int]) -> int:
    return sum(i in control for i in ids)


def merge_frames(rows: list[FrameInputs]) -> FrameInputs:
    """The frames of several prompts with equally many images as one batch."""
    return FrameInputs(
        torch.cat([row.pixel_values for row in rows]), torch.cat([row.pixel_attention_mask for row in rows])
    )
