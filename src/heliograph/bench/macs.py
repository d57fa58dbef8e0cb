"""Multiply-accumulates (MACs) of networks, counted from what runs, and their FLOPs, of which one MAC is two.

::

    torch module --a pass under torch.utils.flop_counter--> products and convolutions --> Count(macs, by operator)
    language model --passes over 4 lengths--> Prefill: MACs of n positions = a n^2 + b n + c, exactly
    ONNX graph of a device --:mod:`heliograph.bench.onnx_macs`--> Count

What is counted: matrix products, convolutions and attention. What is not: norms, activations, softmax, embeddings and
additions, which other tables leave out as well. Attention is counted in full, without half of it for a causal mask.
Papers differ in their words: what fvcore and several tables call FLOPs are MACs; here both are always named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from heliograph.errors import ModelUnsupportedError

FLOPS_PER_MAC = 2
_LENGTHS = (8, 16, 24, 40)


@dataclass(frozen=True)
class Count:
    """Work of one pass.

    Attributes:
        macs: multiply-accumulates.
        by_operator: of each kind of operator that has any.
    """

    macs: int
    by_operator: Mapping[str, int]

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition for every MAC."""
        return FLOPS_PER_MAC * self.macs


def count(run: Callable[[], object]) -> Count:
    """MACs of whatever ``run`` computes with torch; on the device ``meta`` nothing is computed and all is counted.

    Attention goes through plain matrix products meanwhile: torch's own counter knows no operator by which a processor
    does it in one go, and would count nothing.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        run()
    operators = counter.get_flop_counts().get("Global", {})
    found = {str(name).removeprefix("aten."): flops // FLOPS_PER_MAC for name, flops in operators.items()}
    return Count(sum(found.values()), found)


def count_module(module: nn.Module, *shape: int) -> Count:
    """MACs of a module on one input of zeros.

    Args:
        module: on any device, ``meta`` included.
        shape: of its input, such as 1, 3, 512, 512.
    """
    like = next(module.parameters())
    given = torch.zeros(shape, dtype=like.dtype, device=like.device)
    return count(lambda: module(given))


@dataclass(frozen=True)
class Prefill:
    """MACs of a language model's first pass over n positions, and of the logits of the last one.

    Attributes:
        square, linear, constant: the exact polynomial in n, as passes of four lengths fit it.
    """

    square: int
    linear: int
    constant: int

    def macs(self, positions: int) -> int:
        """MACs of that many positions, visual tokens and text together."""
        return self.square * positions**2 + self.linear * positions + self.constant

    def flops(self, positions: int) -> int:
        """Twice the MACs."""
        return FLOPS_PER_MAC * self.macs(positions)


def prefill_of(model: Any) -> Prefill:
    """What the language model behind a vision-language model's tap costs, counted from real passes.

    Args:
        model: of transformers, with weights or on the device ``meta``.

    Raises:
        ModelUnsupportedError: its work is no quadratic function of the positions.
    """
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    width = model.get_input_embeddings().weight
    counts = [_pass_macs(decoder, head, width, length) for length in _LENGTHS]
    found = _through(dict(zip(_LENGTHS[:3], counts[:3], strict=True)))
    if found is None or found.macs(_LENGTHS[3]) != counts[3]:
        raise ModelUnsupportedError().noted("the work of its language model is no quadratic function of the positions.")
    return found


def _pass_macs(decoder: nn.Module, head: nn.Module, width: Tensor, length: int) -> int:
    how: dict[str, Any] = {"dtype": width.dtype, "device": width.device}
    embedded = torch.zeros(1, length, width.shape[1], **how)  # (1, n, D)
    mask = torch.zeros(1, 1, length, length, **how)  # given, so that none is made by looking at values

    def run() -> None:
        made = decoder(inputs_embeds=embedded, attention_mask=mask, use_cache=False)
        states = made.last_hidden_state  # (1, n, D)
        head(states[:, -1])

    return count(run).macs


def _through(points: Mapping[int, int]) -> Prefill | None:
    """The polynomial through three points; None where a coefficient is no whole number or below 0."""
    (x0, y0), (x1, y1), (x2, y2) = points.items()
    first, second = divmod(y1 - y0, x1 - x0), divmod(y2 - y1, x2 - x1)
    square = divmod(second[0] - first[0], x2 - x0)
    if first[1] or second[1] or square[1]:
        return None
    linear = first[0] - square[0] * (x0 + x1)
    constant = y0 - square[0] * x0**2 - linear * x0
    return None if min(square[0], linear, constant) < 0 else Prefill(square[0], linear, constant)


def divprune_macs(layers: int, positions: int, width: int, intermediate: int) -> int:
    """The formula of DivPrune (arXiv 2503.02175), T (4 n d^2 + 2 n^2 d + 2 n d m), which it calls FLOPs.

    It counts MACs of layers whose keys and values have all heads and whose feed-forward part has two matrices: a gated
    one (Llama's) has a third, n d m more, and shared keys and values (grouped queries) fewer.

    Args:
        layers: T, those that see all n positions.
        positions: n.
        width: d.
        intermediate: m.
    """
    n, d, m = positions, width, intermediate
    return layers * (4 * n * d**2 + 2 * n**2 * d + 2 * n * d * m)
