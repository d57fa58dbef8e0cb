"""Rows of :class:`heliograph.vlm.general.GeneralModel`: each prompt is read by the model itself, answers side by side.

::

    photos, question --own processor, tap--> own forward, own cache --copied--> slot --packed steps--> answer

A family makes its prompts as it likes: positions, kinds of tokens, masks over images. So each is read alone, as
``generate`` would read it, and what is shared are the steps after it, where most of the time of an answer goes. That
those say what ``generate`` says is tried once, with a photo, before the first batch is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from heliograph.errors import AnsweringFailedError, HeliographError, ModelUnsupportedError
from heliograph.strategies.towers import GREY
from heliograph.vlm.continuous.engine import ContinuousBatch
from heliograph.vlm.continuous.forward import PackedForward
from heliograph.vlm.continuous.rows import Asked, HeadInputs, OwnPrefill
from heliograph.vlm.contract import BatchRequest, EndedRequest, Verification
from heliograph.vlm.generation_rules import GenerationRules, RowRules
from heliograph.vlm.prompt import placeholder_id
from heliograph.vlm.verification import DraftWalk, verification_of

if TYPE_CHECKING:
    from heliograph.vlm.general import GeneralModel

_PROBE_SIZE = (320, 240)
_PROBE_QUESTIONS = ("What is on the left?", "why?")
_PROBE_TOKENS = 6
_PROBE_BITS = 0.05


class GeneralRows:
    """A :class:`heliograph.vlm.continuous.rows.RowSource`.

    Args:
        model: of any family.

    Raises:
        ModelUnsupportedError: its generation config takes ``generate`` itself.
    """

    def __init__(self, model: GeneralModel) -> None:
        self._model = model
        self._rules = GenerationRules(model.torch_model)
        _ = self._rules.plain
        text = model.torch_model.config.get_text_config()
        self._vocabulary, self._placeholder = int(text.vocab_size), placeholder_id(model.torch_model.config)

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self._model.end_ids

    def ask(self, request: BatchRequest) -> Asked:
        """The prompt of grey photos of the same sizes; all of it counts as tail.

        Raises:
            HeliographError: it cannot be asked.
        """
        ids = self._model.prompt_ids(request.question, request.images, request.max_new_tokens)
        drafted = () if request.draft is None else request.draft.token_ids
        guess = takewhile(lambda token: 0 <= token < self._vocabulary and token != self._placeholder, drafted)
        return Asked((), ids, 0, tuple(guess)[: request.max_new_tokens])

    def rules(self, asked: Asked, limit: int) -> RowRules | None:
        """What the generation config does to this row's logits."""
        return self._rules.row(asked.tail, limit)

    def key(self, images: Sequence[Any]) -> None:
        """Heads are not shared: where a prompt's images end is the family's own business."""

    def head(self, asked: Asked, images: Sequence[Any]) -> HeadInputs:
        """Never asked for.

        Raises:
            AnsweringFailedError: always.
        """
        raise AnsweringFailedError

    def prefill(self, request: BatchRequest) -> OwnPrefill:
        """The prompt, read as ``generate`` reads it.

        Raises:
            HeliographError: images of which there is no answer.
        """
        model = self._model.torch_model
        made, feeding = self._model.asked(request.question, request.images, request.max_new_tokens)
        cache = DynamicCache(config=model.config.get_text_config())
        with feeding:
            out = model(**made, **self._model.keeping_logits(1), past_key_values=cache, use_cache=True)
        layers = [layer for layer in cache.layers if type(layer) is DynamicLayer]
        columns = torch.stack([torch.stack((layer.keys[0], layer.values[0])) for layer in layers])
        return OwnPrefill(columns, out.logits[0, -1:])

    def verified(self, walk: DraftWalk, request: BatchRequest) -> Verification:
        """The answer, and how many of the draft's first tokens are in it.

        Raises:
            AnsweringFailedError: there is none in these steps.
        """
        return verification_of(self._model.answer_of(walk.steps), request.draft)


def general_rows(model: GeneralModel) -> tuple[GeneralRows, PackedForward]:
    """Rows and passes of a model whose answers side by side are those of ``generate``.

    Raises:
        ModelUnsupportedError: it is no such model, for a reason in the notes.
    """
    rows, forward = GeneralRows(model), PackedForward(model.torch_model)
    batch = ContinuousBatch(rows, forward, model.weights, capacity_tokens=1, prefill_tokens=1, shared_tokens=0)
    photo = Image.new("RGB", _PROBE_SIZE, GREY)
    photo.paste((200, 40, 40), (0, 0, _PROBE_SIZE[0] // 2, _PROBE_SIZE[1]))
    requests = [BatchRequest(question, [photo], None, _PROBE_TOKENS) for question in _PROBE_QUESTIONS]
    batch.capacity_tokens = sum(batch.cost(one) for one in requests)
    try:
        wanted = [model.answer(one.question, one.images, max_new_tokens=_PROBE_TOKENS) for one in requests]
        for one in requests:
            batch.admit(one)
        found: dict[BatchRequest, EndedRequest] = {}
        while len(batch):
            found |= {one.request: one for one in batch.step()}
    except HeliographError as error:
        raise ModelUnsupportedError().noted("it fails on a first question.") from error
    for one, answer in zip(requests, wanted, strict=True):
        made = found[one].verified
        if made is None or made.answer.token_ids != answer.token_ids:
            raise ModelUnsupportedError().noted("answers side by side are not those of its own generate.")
        bits = zip(made.answer.token_bits, answer.token_bits, strict=True)
        if any(abs(first - second) > _PROBE_BITS for first, second in bits):
            raise ModelUnsupportedError().noted("answers side by side are less sure than those of its own generate.")
    return rows, forward
