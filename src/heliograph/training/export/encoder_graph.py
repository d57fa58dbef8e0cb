"""Any family's vision tower and projector as ONNX graphs of fixed shapes, one per frame, that share their weights.

The model's own ``get_image_features`` is traced (see :mod:`heliograph.training.export.photo_trace`), nothing of it is
rewritten by hand. Weights never pass through the graph's file: the graphs name them in one safetensors file beside
them, so that no file has the two gigabytes at which ONNX's own format ends, and several frames cost one copy.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.training.export.onnx_graphs import OPSET
from heliograph.training.export.photo_trace import PhotoTrace
from heliograph.training.export.pixel_layout import PixelLayout
from heliograph.vlm.image_features import tokens_of
from heliograph.vlm.tap import METHOD


class FeatureGraph(nn.Module):
    """Sources (1, 3, h, w) float32 of one frame -> its visual tokens (1, N, D) float32, levels as more channels.

    Args:
        owner: module that has ``get_image_features``.
        constants: its arguments that the frame alone decides.
        layouts: how each of its pixel arguments is filled from the sources.
    """

    def __init__(self, owner: nn.Module, constants: Mapping[str, Any], layouts: Mapping[str, PixelLayout]) -> None:
        super().__init__()
        self.owner = owner
        self._constants, self._layouts = dict(constants), dict(layouts)

    def forward(self, *sources: Tensor) -> Tensor:
        """See the class."""
        with PhotoTrace(sources):
            pixels = {name: layout(sources) for name, layout in self._layouts.items()}
            output = getattr(self.owner, METHOD)(**self._constants, **pixels)
            return tokens_of(output)[None]


def trace_encoder(graph: nn.Module, sources: Sequence[Tensor], path: Path) -> None:
    """Write the graph without its weights; they are inputs by their names of :func:`weights_of`.

    Raises:
        Exception: whatever the exporter cannot do.
    """
    weights = weights_of(graph)
    pictures = [f"pixels_{number}" for number in range(len(sources))] if len(sources) > 1 else ["pixels"]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about every shape that it fixes, which is what we want
        torch.onnx.export(
            _WithWeights(graph.eval(), len(sources)),
            (*sources, *weights.values()),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,
            input_names=[*pictures, *weights],
            output_names=["tokens"],
        )


class _WithWeights(nn.Module):
    """A graph that is handed its weights: the exporter copies what a module owns several times over."""

    def __init__(self, graph: nn.Module, sources: int) -> None:
        super().__init__()
        self._held, self._sources = (graph,), sources  # in a tuple, out of the exporter's sight

    def forward(self, *given: Tensor) -> Tensor:
        """Pictures first, then weights."""
        graph = self._held[0]
        with _swapped(graph, given[self._sources :]):
            tokens: Tensor = graph(*given[: self._sources])
        return tokens


@contextmanager
def _swapped(graph: nn.Module, weights: Sequence[Tensor]) -> Iterator[None]:
    """A context in which the graph's modules hold these in place of :func:`weights_of`, in the same order."""
    own = [*graph.parameters(), *graph.buffers()]
    tables: list[dict[str, Any]] = [held for one in graph.modules() for held in (one._parameters, one._buffers)]
    places = [(table, name) for table in tables for name, value in table.items() if value is not None]
    number = {id(value): place for place, value in enumerate(own)}
    before = [table[name] for table, name in places]
    try:
        for (table, name), value in zip(places, before, strict=True):
            table[name] = weights[number[id(value)]]
        yield
    finally:
        for (table, name), value in zip(places, before, strict=True):
            table[name] = value


def weights_of(graph: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their names, each once."""
    return {name: value.detach() for name, value in [*graph.named_parameters(), *graph.named_buffers()]}
