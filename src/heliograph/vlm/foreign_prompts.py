"""Prompts by a family's own processor and chat template, whatever family that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from heliograph.errors import ShapeError
from heliograph.prompt_text import neutralised
from heliograph.vlm.causes import reason_of
from heliograph.vlm.prompt import control_tokens, messages_of


class ForeignPrompts:
    """What a processor makes of photos and a question.

    Args:
        processor: with a chat template.
        model: whose device and dtype the inputs get.

    Attributes:
        in_one_call: whether it takes photos in the call that makes prompts; else text and photos go in apart.
    """

    def __init__(self, processor: Any, model: Any) -> None:
        self._processor, self._model = processor, model
        self._control_names = tuple(control_tokens(processor.tokenizer).values())
        self.in_one_call = True

    def made(self, question: str, photos: Sequence[Image.Image]) -> dict[str, Any]:
        """Arguments of the model's forward.

        Raises:
            ShapeError: the processor does not take photos of these shapes.
        """
        asked = neutralised(question.strip(), self._control_names)
        pictures = [photo.convert("RGB") for photo in photos]
        make = in_one if self.in_one_call else in_two
        try:
            made = make(self._processor, asked, pictures)
        except Exception as error:  # foreign code: too long and thin, too small, and whatever else it refuses
            sizes = " and ".join(f"{one.width}x{one.height}" for one in photos)
            raise ShapeError().noted(f"the processor takes no photos of {sizes} pixels: {reason_of(error)}.") from error
        model = self._model
        return {
            name: value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
            for name, value in made.items()
        }


def in_one(processor: Any, asked: str, pictures: list[Image.Image]) -> Any:
    """Ids and pixels by the one call that the library guards."""
    return processor.apply_chat_template(
        messages_of(asked, pictures),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def in_two(processor: Any, asked: str, pictures: list[Image.Image]) -> Any:
    """The same from text and photos, with the one thing that the library guards in between."""
    text = processor.apply_chat_template(messages_of(asked, [None] * len(pictures)), add_generation_prompt=True)
    start = processor.tokenizer.bos_token
    written = {"add_special_tokens": False} if start and text.startswith(start) else {}
    return processor(text=[text], images=pictures or None, return_tensors="pt", **written)


def with_answer(made: dict[str, Any], answer_ids: Sequence[int]) -> dict[str, Any]:
    """A prompt's arguments with an answer behind it: ids, masks and kinds of tokens as those of plain text."""
    asked = made["input_ids"].shape[1]
    answer = torch.tensor([list(answer_ids)], dtype=torch.long, device=made["input_ids"].device)  # (1, A)
    longer = dict(made)
    for name, value in made.items():
        if value.shape == (1, asked):
            fill = answer if name == "input_ids" else torch.full_like(answer, int(name == "attention_mask"))
            longer[name] = torch.cat([value, fill.to(value.dtype)], dim=1)
    return longer
