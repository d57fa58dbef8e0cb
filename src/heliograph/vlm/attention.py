"""Where a model looks: attention of one decoder layer from the end of the prompt to the visual tokens.

::

    prompt + answer --forward pass, fast attention in every layer--> (its logits are not used)
                       └ in layer l: its own queries and keys, as its attention gets them --> softmax of the last rows

The map of arXiv 2512.16349 (attention from output tokens or the last prompt position, at one layer). The model keeps
the attention it was loaded with; while layer l runs, a function of ours stands in its place, which sees what the layer
made (projected, normalised and turned in the layer's own order, or not at all), computes the rows that no fast
attention gives out, and hands on. Scores that are bent before the softmax (soft caps, sinks) are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from heliograph.controllers.region.find import Found, RegionSetting
from heliograph.errors import AnsweringFailedError, ModelUnsupportedError, ShapeError, StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.types import FloatArray, VisualTokens, tokens_make_sense
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.prompt import placeholder_id

_NEEDED = ("q_proj", "k_proj", "head_dim", "scaling", "layer_idx")
_BENDING = ("softcap", "s_aux", "position_bias")
_WATCH = "heliograph_watch"
_local = threading.local()


@dataclass
class WatchedPass:
    """What a hook saw of one forward pass; both None before it.

    Attributes:
        weights: (H, rows, L) float32, attention of the last rows over all L positions; each row sums to 1.
        input_ids: (L,) int64 of the pass.
    """

    weights: Tensor | None = None
    input_ids: Tensor | None = None


def head_counts(torch_model: nn.Module) -> tuple[int, ...]:
    """How many heads each decoder layer has, first layer first.

    Raises:
        ModelUnsupportedError: a decoder whose attention cannot be computed from outside.
    """
    layers: list[Any] = decoder_attention(torch_model)
    return tuple(one.q_proj.out_features // one.head_dim for one in layers)


@contextmanager
def watching(torch_model: nn.Module, layer: int, rows: int = 1) -> Iterator[WatchedPass]:
    """A context in which forward passes over one whole sequence leave the attention of ``layer`` behind.

    Args:
        torch_model: a vision-language model of transformers; nothing of it changes.
        layer: 0 is the first decoder layer.
        rows: so many last positions.

    Raises:
        ModelUnsupportedError: no such layer, or a decoder whose attention cannot be computed from outside.
    """
    layers = decoder_attention(torch_model)
    if not 0 <= layer < len(layers):
        raise ModelUnsupportedError().noted(f"it has {len(layers)} decoder layers, and none with number {layer}.")
    seen = WatchedPass()

    def of_layer(query: Tensor, key: Tensor, mask: Tensor | None, scaling: float | None, options: Any) -> None:
        seen.weights = _rows_of(rows, query, key, mask, scaling, options)

    def of_model(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids")
        seen.input_ids = None if ids is None else ids[0].detach()

    handle = torch_model.register_forward_pre_hook(of_model, with_kwargs=True)
    try:
        with _watched_layer(layers[layer], of_layer):
            yield seen
    finally:
        handle.remove()


def head_maps(
    model: TorchModel,
    question: str,
    tokens: VisualTokens,
    *,
    layer: int,
    prompt_rows: int = 1,
    answer_ids: Sequence[int] = (),
) -> FloatArray:
    """Attention to one photo's visual tokens, head by head: (P + A, H, rows, columns) float32.

    In reading order: the P last prompt positions, of which the very last decides the answer's first token, then the A
    answer tokens. What goes to text is left out, so a map sums to less than 1.

    Args:
        model: in the cloud.
        question: as asked.
        tokens: (N, D) of the photo, N = rows x columns.
        layer: decoder layer, 0 the first.
        prompt_rows: P.
        answer_ids: of an answer that was made, to see where its tokens look.

    Raises:
        ModelUnsupportedError: see :func:`watching`; or the prompt does not hold one placeholder per visual token.
        AnsweringFailedError: what the layer or the model makes is not finite.
        ShapeError: tokens of the wrong shape, or of several tiles.
        QuestionEmptyError, QuestionTooLongError: the question cannot be asked.
    """
    made = layer_maps(model, question, tokens, layers=(layer,), prompt_rows=prompt_rows, answer_ids=answer_ids)
    return np.ascontiguousarray(made[0])


def layer_maps(
    model: TorchModel,
    question: str,
    tokens: VisualTokens,
    *,
    layers: Sequence[int],
    prompt_rows: int = 1,
    answer_ids: Sequence[int] = (),
) -> FloatArray:
    """The same of several layers from one pass, to choose among them: (layers, P + A, H, rows, columns) float32.

    Raises:
        ModelUnsupportedError, ShapeError, QuestionEmptyError, QuestionTooLongError: as :func:`head_maps`.
    """
    grid = tokens.grid
    if grid.tiles != 1 or not layers:
        raise ShapeError().noted(
            f"attention is read of photos in one tile and of at least one layer; this grid has {grid.tiles} tiles."
        )
    if not tokens_make_sense(tokens.values):
        raise StreamDamagedError(StreamFault.VALUE)
    with torch.inference_mode(), ExitStack() as watched:
        rows = prompt_rows + len(answer_ids)
        passes = [watched.enter_context(watching(model.torch_model, layer, rows)) for layer in layers]
        values = torch.from_numpy(np.ascontiguousarray(tokens.values)).to(model.torch_model.device)
        model.answer_logits(question, values, grid, answer_ids)
    placeholder = placeholder_id(model.torch_model.config)
    if placeholder is None:
        raise ModelUnsupportedError().noted("its config.json names no placeholder for visual tokens.")
    made = []
    for seen in passes:
        if seen.weights is None or seen.input_ids is None:
            raise ModelUnsupportedError().noted("its attention is computed where it cannot be read.")
        places = seen.input_ids.eq(placeholder).nonzero()[:, 0]
        if len(places) != grid.tokens:
            raise ModelUnsupportedError().noted(f"its prompt has {len(places)} placeholders for {grid.tokens} tokens.")
        if not bool(torch.isfinite(seen.weights).all()):
            raise AnsweringFailedError
        made.append(seen.weights[:, :, places].transpose(0, 1).cpu().numpy())  # (P + A, H, N)
    maps = np.stack(made)
    return np.ascontiguousarray(maps.reshape(*maps.shape[:3], grid.rows, grid.columns), dtype=np.float32)


def attention_map(model: TorchModel, question: str, tokens: VisualTokens, *, layer: int) -> FloatArray:
    """Where the last prompt position looks, mean over heads: (rows, columns) float32.

    Raises:
        ModelUnsupportedError, ShapeError, QuestionEmptyError, QuestionTooLongError: as :func:`head_maps`.
    """
    made: FloatArray = head_maps(model, question, tokens, layer=layer)[0].mean(axis=0)
    return made


class AttentionFinder:
    """Finds the region that a question is about, with one setting; remembers the generic map of the last photo.

    Args:
        model: in the cloud.
        setting: chosen for this model.

    Raises:
        ModelUnsupportedError: attention of this model cannot be read, or it has no such layer or number of heads.
    """

    def __init__(self, model: TorchModel, setting: RegionSetting) -> None:
        heads = head_counts(model.torch_model)
        if setting.layer >= len(heads):
            raise ModelUnsupportedError().noted(
                f"region.json reads layer {setting.layer}, and this model has {len(heads)} decoder layers."
            )
        wanted = setting.prompt_rows * heads[setting.layer]
        if len(setting.own) not in (0, wanted) or len(setting.generic) not in (0, heads[setting.layer]):
            raise ModelUnsupportedError().noted(
                f"region.json weighs other heads than the {heads[setting.layer]} of this model's layer {setting.layer}."
            )
        self._model, self.setting = model, setting
        self._generic: tuple[VisualTokens, FloatArray] | None = None

    def relative(self, question: str, tokens: VisualTokens) -> npt.NDArray[np.float64]:
        """(rows, columns) of what this question looks at, and any question does not.

        Raises:
            ModelUnsupportedError, ShapeError, QuestionEmptyError, QuestionTooLongError: as :func:`head_maps`.
        """
        setting = self.setting
        own = head_maps(self._model, question, tokens, layer=setting.layer, prompt_rows=setting.prompt_rows)
        return setting.relative(own, self._generic_maps(tokens) if setting.generic_question else None)

    def find(self, question: str, tokens: VisualTokens, photo_size: tuple[int, int]) -> Found:
        """The region in photo pixels.

        Raises:
            ModelUnsupportedError, ShapeError, QuestionEmptyError, QuestionTooLongError: as :func:`head_maps`.
            UsageError: a photo without pixels.
        """
        return self.setting.locate(self.relative(question, tokens), photo_size)

    def _generic_maps(self, tokens: VisualTokens) -> FloatArray:
        """(H, rows, columns); the same tokens are asked once."""
        if self._generic is None or self._generic[0] is not tokens:
            setting = self.setting
            self._generic = tokens, head_maps(self._model, setting.generic_question, tokens, layer=setting.layer)[0]
        return self._generic[1]


# ---- one layer -------------------------------------------------------------------------------------
def decoder_attention(torch_model: nn.Module) -> list[nn.Module]:
    """The language model's attention modules, first layer first.

    Raises:
        ModelUnsupportedError: there are none, or they are not of the kind with separate projections and rotary angles.
    """
    config: Any = torch_model.config
    if not hasattr(config, "get_text_config"):
        raise ModelUnsupportedError().noted("its configuration has no part for a language model.")
    text = config.get_text_config()
    found = [
        module
        for module in torch_model.modules()
        if isinstance(getattr(module, "config", None), type(text)) and all(hasattr(module, name) for name in _NEEDED)
    ]
    by_layer = {one.layer_idx: one for one in found if isinstance(one.layer_idx, int)}
    complete = sorted(by_layer) == list(range(int(text.num_hidden_layers))) and len(by_layer) == len(found)
    if not found or not complete:
        raise ModelUnsupportedError().noted(
            f"{len(by_layer)} of its {text.num_hidden_layers} decoder layers have an attention that can be read."
        )
    if any(getattr(module, "attn_logit_softcapping", None) for module in found):
        raise ModelUnsupportedError().noted(
            "its attention caps its scores softly, which cannot be computed from outside."
        )
    return [by_layer[number] for number in sorted(by_layer)]


def _rows_of(
    rows: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float | None, options: Mapping[str, Any]
) -> Tensor:
    """(H, rows, L) float32 softmax of the last rows over all keys.

    Args:
        rows: so many.
        query: (1, H, L, d) as the layer compares it: projected, normalised and turned in the layer's own order.
        key: (1, H_kv, L, d) likewise.
        mask: (1, 1 or H, L, L) bool or added to scores; None for causal.
        scaling: of scores; None for the root of d.
        options: what else the layer asks of its attention.

    Raises:
        ModelUnsupportedError: more than one sequence, a pass that goes on from a cache, or scores that are bent.
    """
    length = key.shape[2]
    if query.shape[0] != 1 or query.shape[2] != length or not 1 <= rows <= length:
        raise ModelUnsupportedError().noted("attention is read of one whole sequence in one pass, without a cache.")
    if any(options.get(name) is not None for name in _BENDING):
        raise ModelUnsupportedError().noted("its attention bends its scores, which cannot be computed from outside.")
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)  # (1, H, L, d): heads that share keys
    scores = query[:, :, -rows:].float() @ key.float().transpose(-1, -2)  # (1, H, rows, L)
    scores = scores * (query.shape[-1] ** -0.5 if scaling is None else float(scaling))
    if mask is None:
        scores = scores.masked_fill(~_visible(rows, scores, options.get("sliding_window")), -torch.inf)
    elif mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask[:, :, -rows:, :length], -torch.inf)
    else:
        scores = scores + mask[:, :, -rows:, :length].float()
    return scores.softmax(dim=-1)[0]


def _visible(rows: int, scores: Tensor, window: int | None) -> Tensor:
    """(rows, L) bool: causal, and within the layer's window where it has one."""
    length = scores.shape[-1]
    columns = torch.arange(length, device=scores.device)
    own = columns[-rows:, None]
    return (columns <= own) & (columns > own - (window or length))


@contextmanager
def _watched_layer(layer: Any, keep: Callable[..., None]) -> Iterator[None]:
    """A context in which that layer's queries and keys are shown to ``keep`` before its own attention takes them."""
    config, entered = layer.config, list[str]()

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        entered.append(config._attn_implementation)
        config._attn_implementation = _WATCH
        _local.keep = keep

    def leave(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        config._attn_implementation = entered.pop()

    handles = [layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> Any:
    """Stands in for PyTorch's fast attention in one layer, and lets its queries and keys be seen."""
    _local.keep(query, key, mask, options.get("scaling"), options)
    return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, mask, **options)


ALL_ATTENTION_FUNCTIONS.register(_WATCH, _attention)
