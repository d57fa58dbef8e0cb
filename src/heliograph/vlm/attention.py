"""Where a model looks: attention of one decoder layer from the end of the prompt to the visual tokens.

::

    prompt + answer --forward pass, fast attention in every layer--> (its logits are not used)
                       └ before layer l: hidden states, rotary angles --own q, k, norms--> softmax of the last rows

The map of arXiv 2512.16349 (attention from output tokens or the last prompt position, at one layer). The model keeps
the attention it was loaded with; a hook computes that layer's rows anew from the layer's own projections, norms and
rotary function, which no fast attention gives out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from heliograph.controllers.region import Found, RegionSetting
from heliograph.errors import AnsweringFailedError, ModelUnsupportedError, ShapeError, StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.types import FloatArray, VisualTokens, tokens_make_sense
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.prompt import placeholder_id

_NEEDED = ("q_proj", "k_proj", "head_dim", "scaling", "layer_idx")
_ROTARY = "apply_rotary_pos_emb"


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
    layers: list[Any] = _decoder_attention(torch_model)
    return tuple(one.q_proj.out_features // one.head_dim for one in layers)


@contextmanager
def watching(torch_model: nn.Module, layer: int, rows: int = 1) -> Iterator[WatchedPass]:
    """Within the context, forward passes over one whole sequence leave the attention of ``layer`` behind.

    Args:
        torch_model: a vision-language model of transformers; nothing of it changes.
        layer: 0 is the first decoder layer.
        rows: so many last positions.

    Raises:
        ModelUnsupportedError: no such layer, or a decoder whose attention cannot be computed from outside.
    """
    layers = _decoder_attention(torch_model)
    if not 0 <= layer < len(layers):
        raise ModelUnsupportedError
    seen = WatchedPass()

    def of_layer(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.weights = _last_rows(module, args, kwargs, rows)

    def of_model(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids")
        seen.input_ids = None if ids is None else ids[0].detach()

    handles = [
        layers[layer].register_forward_pre_hook(of_layer, with_kwargs=True),
        torch_model.register_forward_pre_hook(of_model, with_kwargs=True),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
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
        raise ShapeError
    if not tokens_make_sense(tokens.values):
        raise StreamDamagedError(StreamFault.VALUE)
    with torch.inference_mode(), ExitStack() as watched:
        rows = prompt_rows + len(answer_ids)
        passes = [watched.enter_context(watching(model.torch_model, layer, rows)) for layer in layers]
        values = torch.from_numpy(np.ascontiguousarray(tokens.values)).to(model.torch_model.device)
        model.answer_logits(question, values, grid, answer_ids)
    placeholder = placeholder_id(model.torch_model.config)
    if placeholder is None:
        raise ModelUnsupportedError
    made = []
    for seen in passes:
        if seen.weights is None or seen.input_ids is None:
            raise ModelUnsupportedError
        places = seen.input_ids.eq(placeholder).nonzero()[:, 0]
        if len(places) != grid.tokens:
            raise ModelUnsupportedError
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


class Looker:
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
            raise ModelUnsupportedError
        wanted = setting.prompt_rows * heads[setting.layer]
        if len(setting.own) not in (0, wanted) or len(setting.generic) not in (0, heads[setting.layer]):
            raise ModelUnsupportedError
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
def _decoder_attention(torch_model: nn.Module) -> list[nn.Module]:
    """The language model's attention modules, first layer first.

    Raises:
        ModelUnsupportedError: there are none, or they are not of the kind with separate projections and rotary angles.
    """
    config: Any = torch_model.config
    if not hasattr(config, "get_text_config"):
        raise ModelUnsupportedError
    text = config.get_text_config()
    found = [
        module
        for module in torch_model.modules()
        if isinstance(getattr(module, "config", None), type(text)) and all(hasattr(module, name) for name in _NEEDED)
    ]
    by_layer = {int(module.layer_idx): module for module in found}  # type: ignore[arg-type]
    complete = sorted(by_layer) == list(range(int(text.num_hidden_layers))) and len(by_layer) == len(found)
    if not found or not complete or not all(_rotary_of(module) for module in found):
        raise ModelUnsupportedError
    if any(getattr(module, "attn_logit_softcapping", None) for module in found):
        raise ModelUnsupportedError
    return [by_layer[number] for number in sorted(by_layer)]


def _rotary_of(module: nn.Module) -> Callable[..., tuple[Tensor, Tensor]] | None:
    """The rotary function that the layer's own source file has: families order halves and pairs differently."""
    found = getattr(sys.modules[type(module).__module__], _ROTARY, None)
    return found if callable(found) else None


def _last_rows(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], rows: int) -> Tensor:
    """(H, rows, L) float32 softmax of the last rows over all keys.

    Raises:
        ModelUnsupportedError: more than one sequence, a pass that goes on from a cache, or no rotary angles given.
    """
    hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]  # (1, L, D)
    angles = kwargs.get("position_embeddings")
    cache, rotary = kwargs.get("past_key_values"), _rotary_of(module)
    continues = cache is not None and cache.get_seq_length(module.layer_idx) > 0
    if hidden.shape[0] != 1 or continues or angles is None or rotary is None or not 1 <= rows <= hidden.shape[1]:
        raise ModelUnsupportedError
    query = _heads(module, "q", hidden[:, -rows:])  # (1, H, rows, d)
    key = _heads(module, "k", hidden)  # (1, H_kv, L, d)
    cos, sin = angles
    query, _ = rotary(query, query, cos[..., -rows:, :], sin[..., -rows:, :])
    _, key = rotary(key, key, cos, sin)
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)  # (1, H, L, d): heads that share keys
    scores = query.float() @ key.float().transpose(-1, -2) * float(module.scaling)  # (1, H, rows, L)
    return scores.masked_fill(~_visible(module, rows, scores), -torch.inf).softmax(dim=-1)[0]


def _heads(module: Any, letter: str, hidden: Tensor) -> Tensor:
    """Projected states (1, heads, L, d), normalised where the layer does that per head."""
    states = getattr(module, f"{letter}_proj")(hidden)
    states = states.view(*hidden.shape[:2], -1, module.head_dim)
    norm = getattr(module, f"{letter}_norm", None)
    return (states if norm is None else norm(states)).transpose(1, 2)  # type: ignore[no-any-return]


def _visible(module: Any, rows: int, scores: Tensor) -> Tensor:
    """(rows, L) bool: causal, and within the layer's window where it has one."""
    length = scores.shape[-1]
    columns = torch.arange(length, device=scores.device)
    own = columns[-rows:, None]
    window = getattr(module, "sliding_window", None) or length
    return (columns <= own) & (columns > own - window)
