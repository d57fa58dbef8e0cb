"""What a checkpoint's ``generation_config.json`` does to the logits before the most likely token is taken.

::

    prompt ids --generate's own preparation--> logits processors --+
    logits of one position, ids so far ----------------------------+--> scores --argmax--> token

Suppressed tokens, penalties, forced and forbidden ids depend on position and history, so each row has processors of its
own and is asked position by position, in order. The library makes them: ``generate`` prepares everything as ever and
hands it to a function of ours in place of its loop. A checkpoint that asks for more than another choice of tokens
(beams, strings that end an answer, help from another model) is one for ``generate`` itself.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation import (
    EosTokenCriteria,
    GenerationMode,
    LogitsProcessorList,
    MaxLengthCriteria,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.causes import reason_of

_PROBE_TOKENS = 1024
_KNOWN_ENDS = (EosTokenCriteria, MaxLengthCriteria)
_ASKS_THE_MODEL = (UnbatchedClassifierFreeGuidanceLogitsProcessor,)
_TWO_LENGTHS = "Both `max_new_tokens`"


class _LengthsAreStated(logging.Filter):
    """Drops the library's line about a checkpoint that states a length too: every call here states the one it wants,
    and that one counts."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for that line."""
        return not str(record.msg).startswith(_TWO_LENGTHS)


logging.getLogger("transformers.generation.utils").addFilter(_LengthsAreStated())


@dataclass(frozen=True)
class _Prepared:
    """What ``generate`` would run with."""

    processors: LogitsProcessorList
    criteria: Sequence[Any]
    config: GenerationConfig


class RowRules:
    """Chooses the tokens of one row as ``generate(do_sample=False)`` would; asked once per position, in order.

    Args:
        processors: of this row alone.
        ids: (1, L) int64 of its prompt.
    """

    def __init__(self, processors: LogitsProcessorList, ids: Tensor) -> None:
        self._processors, self._ids = processors, ids

    def choose(self, logits: Tensor) -> int:
        """The next token, from its logits (V,); it counts as said from then on."""
        scores = self._processors(self._ids, logits.to(torch.float32, copy=True)[None])
        token = scores.argmax(dim=-1)
        self._ids = torch.cat([self._ids, token[:, None].to(self._ids.device)], dim=1)
        return int(token)


class GenerationRules:
    """The rules of one model's generation config, as it is whenever they are asked for.

    Args:
        model: with ``generate``.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._known: tuple[dict[str, Any], bool] | None = None

    @property
    def plain(self) -> bool:
        """Whether the most likely token is always the one to say.

        Raises:
            ModelUnsupportedError: this takes ``generate`` itself.
        """
        settings = vars(self._model.generation_config)
        if self._known is None or self._known[0] != settings:
            prepared = self._prepared(torch.ones(1, 1, dtype=torch.long, device=self._model.device), _PROBE_TOKENS)
            if not _is_greedy(prepared):
                raise ModelUnsupportedError().noted(
                    "its generation_config.json asks for more than choosing one token after the other."
                )
            self._known = copy.deepcopy(settings), not prepared.processors
        return self._known[1]

    def row(self, prompt: Sequence[int], limit: int) -> RowRules | None:
        """The rules for the answer to one prompt, of at most ``limit`` tokens; None where nothing changes the logits.

        Raises:
            ModelUnsupportedError: this takes ``generate`` itself.
        """
        if self.plain:
            return None
        ids = torch.tensor([list(prompt)], device=self._model.device)
        return RowRules(self._prepared(ids, limit).processors, ids)

    def _prepared(self, ids: Tensor, limit: int) -> _Prepared:
        def keep(
            model: Any,
            input_ids: Tensor,
            logits_processor: LogitsProcessorList,
            stopping_criteria: Sequence[Any],
            generation_config: GenerationConfig,
            **_: Any,
        ) -> _Prepared:
            return _Prepared(logits_processor, stopping_criteria, generation_config)

        try:
            made: _Prepared = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=limit,
                num_return_sequences=1,
                custom_generate=keep,
            )
        except Exception as error:  # settings that contradict each other, or want more than these arguments
            raise ModelUnsupportedError().noted(
                f"its generation_config.json cannot be followed: {reason_of(error)}."
            ) from error
        return made


def _is_greedy(prepared: _Prepared) -> bool:
    """Whether a loop over cached forward passes, with a choice of tokens in each, is what ``generate`` does."""
    config = prepared.config
    return (
        config.get_generation_mode() == GenerationMode.GREEDY_SEARCH
        and config.use_cache is not False
        and config.cache_implementation in (None, "dynamic")
        and not config.token_healing
        and all(isinstance(end, _KNOWN_ENDS) for end in prepared.criteria)
        and not any(isinstance(one, _ASKS_THE_MODEL) for one in prepared.processors)
    )
