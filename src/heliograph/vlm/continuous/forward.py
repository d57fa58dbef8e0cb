"""The model's own ``forward`` over packed positions, and whether a model is one that this can be done with."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.attention import decoder_attention
from heliograph.vlm.causes import reason_of
from heliograph.vlm.continuous.passes import Part, PassPlan, slotted_attention
from heliograph.vlm.continuous.rows import Reading
from heliograph.vlm.continuous.slots import CacheShape, SlotArena, SlotOwner

_CHANGING_ROTATION = ("dynamic", "longrope")
_MANY_POSITIONS = ("get_rope_index", "mrope_section")
_PROBE_LENGTHS = (7, 4)
_CLOSE = 0.02
"""Of the spread of logits; an attention that is another one differs by more, and bfloat16 by less."""


class PackedForward:
    """Passes of one model over plans.

    Args:
        model: with ``forward``, in evaluation mode.

    Attributes:
        shape: of what a cache position holds.

    Raises:
        ModelUnsupportedError: its attention is none that can be done over slots, for a reason in the notes.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._keeps_logits = "logits_to_keep" in inspect.signature(type(model).forward).parameters
        text = model.config.get_text_config()
        layers = [layer.config for layer in decoder_attention(model)]
        self._configs = list({id(config): config for config in (text, *layers)}.values())
        self._vocabulary = int(text.vocab_size)
        _check_configuration(model, text)
        with torch.inference_mode():
            self.shape = self._checked_shape()

    def run(self, plan: PassPlan, readings: Sequence[Reading], kept: Sequence[int]) -> Tensor:
        """(K, V) logits of the last positions of each row, row after row.

        Args:
            plan: of all parts.
            readings: what each row reads, in the order of the plan's parts.
            kept: how many of its last positions give logits.
        """
        device = self.shape.device
        ids = torch.tensor([list(chain.from_iterable(one.ids for one in readings))], device=device)  # (1, T)
        positions = torch.tensor([list(chain.from_iterable(one.positions for one in readings))], device=device)
        words = self._with_features(ids, readings)
        places = None if sum(kept) == plan.tokens else _last(plan.parts, kept).to(device)
        return self._logits(plan, words, positions, places)

    def _with_features(self, ids: Tensor, readings: Sequence[Reading]) -> dict[str, Tensor]:
        """The ids, or where images stand among them their embeddings (1, T, D) with the features in place."""
        shown = [(one.part.first, one.head) for one in readings if one.head is not None]
        images = [(first + head.places, head.features) for first, head in shown if head.features is not None]
        if not images:
            return {"input_ids": ids}
        embedded = self._model.get_input_embeddings()(ids)
        for places, features in images:
            embedded[0, torch.from_numpy(places).to(ids.device)] = features.to(embedded)
        return {"inputs_embeds": embedded}

    def _logits(self, plan: PassPlan, words: dict[str, Tensor], positions: Tensor, kept: Tensor | None) -> Tensor:
        """(K, V) logits at the places (K,) that are kept; None for all."""
        keeping = {"logits_to_keep": kept} if self._keeps_logits and kept is not None else {}
        with slotted_attention(self._configs, plan) as cache:
            made = self._model(
                **words,
                **keeping,
                attention_mask=cache.mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
        logits: Tensor = made.logits[0]
        return logits if kept is None or keeping else logits[kept]

    # ---- whether it can be done --------------------------------------------------------------------
    def _checked_shape(self) -> CacheShape:
        """The shape of a position, after two sequences of words have gone through both kinds of pass.

        Raises:
            ModelUnsupportedError: they fail, or give other logits.
        """
        generator = torch.Generator().manual_seed(0)
        top = min(self._vocabulary, 1 << 15)
        words = [torch.randint(0, top, (1, length), generator=generator) for length in _PROBE_LENGTHS]
        words = [_without_images(ids, self._model.config) for ids in words]
        try:
            wanted, shape = self._one_by_one(words)
            found = self._side_by_side(words, shape)
        except ModelUnsupportedError:
            raise
        except Exception as error:  # foreign code, asked in a way that it may not know
            raise ModelUnsupportedError().noted(
                f"its program takes no sequences side by side: {reason_of(error)}."
            ) from error
        spread = float(wanted.float().std())
        if not float((wanted - found).float().abs().max()) <= _CLOSE * max(spread, 1e-6):
            raise ModelUnsupportedError().noted("sequences side by side give other logits than one by one.")
        return shape

    def _one_by_one(self, words: Sequence[Tensor]) -> tuple[Tensor, CacheShape]:
        """(2 sequences * 2, V) logits behind all but the last word, and behind that, each with a cache of its own."""
        device = self._model.device
        found = []
        for ids in words:
            cache = DynamicCache(config=self._model.config.get_text_config())
            _check_layers(cache)
            for part in (ids[:, :-1], ids[:, -1:]):
                found.append(
                    self._model(input_ids=part.to(device), past_key_values=cache, use_cache=True).logits[0, -1]
                )
        keys = [layer.keys for layer in cache.layers]
        sizes = {
            tensor.shape[1:2] + tensor.shape[3:] for layer in cache.layers for tensor in (layer.keys, layer.values)
        }
        if len(sizes) != 1:
            raise ModelUnsupportedError().noted("its layers keep keys and values of different sizes.")
        return torch.stack(found), CacheShape(len(keys), keys[0].shape[1], keys[0].shape[3], keys[0].dtype, device)

    def _side_by_side(self, words: Sequence[Tensor], shape: CacheShape) -> Tensor:
        """The same logits from packed passes."""
        arena = SlotArena[SlotOwner](shape, max(_PROBE_LENGTHS))
        rows = [SlotOwner() for _ in words]
        for row in rows:
            arena.take(row)
        found: list[list[Tensor]] = [[] for _ in words]
        for cut in (slice(None, -1), slice(-1, None)):
            new = [ids[0, cut] for ids in words]
            parts = [Part(row, arena, len(ids)) for row, ids in zip(rows, new, strict=True)]
            plan = PassPlan(parts, shape.dtype, shape.device, watchful=True)
            order = [parts.index(part) for part in plan.parts]
            ids = torch.cat([new[i] for i in order])[None].to(shape.device)
            places = [torch.arange(part.start, part.end) for part in plan.parts]
            positions = torch.cat(places)[None].to(shape.device)
            logits = self._logits(plan, {"input_ids": ids}, positions, _last(plan.parts, [1] * len(parts)))
            for i, row in zip(order, logits, strict=True):
                found[i].append(row)
                rows[i].length += len(new[i])
        return torch.stack([one for row in found for one in row])


def _last(parts: Sequence[Part], counts: Sequence[int]) -> Tensor:
    """(K,) int64 places of the last so many positions of each part."""
    ends = (part.first + part.count for part in parts)
    return torch.tensor([place for end, n in zip(ends, counts, strict=True) for place in range(end - n, end)])


def _without_images(ids: Tensor, config: Any) -> Tensor:
    """The same ids with another in the place of those that stand for images and the like."""
    special = [value for name, value in vars(config).items() if name.endswith(("_token_id", "_token_index"))]
    low = max((one for one in special if isinstance(one, int)), default=0)
    plain = next(one for one in range(low + 2) if one not in special and one > 2)
    return torch.where(
        torch.isin(ids, torch.tensor([one for one in special if isinstance(one, int)] or [-1])), plain, ids
    )


def _check_configuration(model: Any, text: Any) -> None:
    """Refuse by its configuration what a short probe would not show.

    Raises:
        ModelUnsupportedError: it is such a model.
    """
    if getattr(model.config, "is_encoder_decoder", False):
        raise ModelUnsupportedError().noted("its answers are written by a decoder that looks at an encoder.")
    if any(name in str(getattr(text, "rope_parameters", None)) for name in _CHANGING_ROTATION):
        raise ModelUnsupportedError().noted("its positions are turned by the length of the longest sequence.")
    if any(hasattr(module, name) for module in model.modules() for name in _MANY_POSITIONS):
        raise ModelUnsupportedError().noted("its positions have more than one dimension.")


def _check_layers(cache: DynamicCache) -> None:
    if not cache.layers or any(type(layer) is not DynamicLayer for layer in cache.layers):
        raise ModelUnsupportedError().noted("not every layer of it looks back at everything.")
