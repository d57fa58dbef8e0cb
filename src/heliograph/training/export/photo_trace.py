"""Tracing with only the photo in the trace: all that it does not decide is a constant of the exported graph.

A vision tower computes much from the grid of patches alone: positions, rotations, windows, masks, lengths. None of that
needs an operator in the graph, and much of it has none in ONNX. Within :class:`PhotoTrace` an operation whose arguments
do not come from the pixels runs untraced, and so does every question after a shape. What remains is a network of fixed
shapes::

    pixels --traced--> convolutions, products, softmax ... --traced--> tokens
                              ^
    grids, positions, masks --untraced--> constants

So is what the photo decides with yes or no (whether a tile is nothing but padding, say): as for the example, for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_MARK = "_heliograph_of_photo"
_PAIRS = "_heliograph_pairs"
_SHAPE_QUESTIONS = frozenset(
    ("size", "dim", "numel", "nelement", "stride", "is_contiguous", "is_floating_point", "tolist", "item")
)
_CONVERSIONS = frozenset(("__len__", "__bool__", "__int__", "__index__", "__float__"))
_SHAPE_PROPERTIES = frozenset(("shape", "ndim", "dtype", "device"))

Operation = Callable[..., Any]


class PhotoTrace(TorchFunctionMode):
    """See the module.

    Args:
        pixels: tensors that the trace follows.
    """

    def __init__(self, pixels: Sequence[Tensor]) -> None:
        super().__init__()
        for tensor in pixels:
            setattr(tensor, _MARK, True)

    def __torch_function__(
        self, func: Operation, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one operation, traced or not."""
        named = dict(kwargs or {})
        if _asks_for_shape(func) or not any(_of_photo(leaf) for leaf in tree_leaves((args, named))):
            with _untraced():
                return func(*args, **named)
        made = _REWRITTEN.get(func, func)(*args, **named)
        leaves = [leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
        if leaves and all(leaf.dtype == torch.bool for leaf in leaves):
            with _untraced():
                return func(*args, **named)
        for leaf in leaves:
            setattr(leaf, _MARK, True)
        if _writes_into_first(func):
            setattr(args[0], _MARK, True)
        return made


def _of_photo(value: Any) -> bool:
    return isinstance(value, Tensor) and getattr(value, _MARK, False)


def _asks_for_shape(func: Operation) -> bool:
    name = getattr(func, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", "")
        return name in _SHAPE_PROPERTIES
    return name in _SHAPE_QUESTIONS or name in _CONVERSIONS


def _writes_into_first(func: Operation) -> bool:
    name = getattr(func, "__name__", "")
    return name == "__setitem__" or name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))


@contextmanager
def _untraced() -> Iterator[None]:
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)  # type: ignore[attr-defined]


# ---- operations that the exporter does not know, in terms of such that it does -------------------------
def _attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, enable_gqa: bool = False, **named: Any) -> Tensor:
    """Heads that share keys and values get a copy each."""
    if enable_gqa:
        groups = query.size(-3) // key.size(-3)
        key, value = (_repeated(one, groups) for one in (key, value))
    made: Tensor = functional.scaled_dot_product_attention(query, key, value, *rest, **named)
    return made


def _repeated(heads: Tensor, groups: int) -> Tensor:
    with _untraced():
        shape = tuple(heads.shape)
    wide = heads.unsqueeze(-3).expand(*shape[:-2], groups, *shape[-2:])
    return wide.reshape(*shape[:-3], shape[-3] * groups, *shape[-2:])


def _unfold(picture: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Patches side by side (1, C p p, L), where none overlap."""
    height, width = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    step = stride if isinstance(stride, tuple) else (stride, stride)
    if (height, width) != tuple(step) or padding not in (0, (0, 0)) or dilation not in (1, (1, 1)):
        return functional.unfold(picture, kernel_size, dilation, padding, stride)
    with _untraced():
        count, channels, tall, wide = picture.shape
    rows, columns = tall // height, wide // width
    cells = picture[..., : rows * height, : columns * width].reshape(count, channels, rows, height, columns, width)
    return cells.permute(0, 1, 3, 5, 2, 4).reshape(count, channels * height * width, rows * columns)


def _item(value: Tensor, index: Any) -> Tensor:
    """Rows by number in place of a mask, whose count no graph of fixed shapes would know."""
    if isinstance(index, Tensor) and index.dtype == torch.bool:
        with _untraced():
            index = index.nonzero(as_tuple=True)
    return value[index]


def _view_as_complex(pairs: Tensor) -> Tensor:
    """Complex numbers for the eye, with the traced pairs (..., 2) behind them."""
    with _untraced():
        made = torch.view_as_complex(pairs)
    setattr(made, _PAIRS, pairs)
    return made


def _view_as_real(numbers: Tensor) -> Tensor:
    pairs: Tensor = getattr(numbers, _PAIRS)
    return pairs


def _multiplied(first: Any, second: Any) -> Any:
    """A product; of complex numbers, its pairs too."""
    if not any(hasattr(one, _PAIRS) for one in (first, second)):
        return torch.mul(first, second)
    with _untraced():
        made = first * second
    (a, b), (c, d) = (_parts(one) for one in (first, second))
    setattr(made, _PAIRS, torch.stack([a * c - b * d, a * d + b * c], dim=-1))
    return made


def _parts(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part."""
    pairs = getattr(numbers, _PAIRS, None)
    if pairs is None:
        with _untraced():
            pairs = torch.view_as_real(numbers.resolve_conj())
    return pairs[..., 0], pairs[..., 1]


_REWRITTEN: dict[Operation, Operation] = {
    functional.scaled_dot_product_attention: _attention,
    functional.unfold: _unfold,
    Tensor.__getitem__: _item,
    torch.view_as_complex: _view_as_complex,
    torch.view_as_real: _view_as_real,
    torch.mul: _multiplied,
    Tensor.mul: _multiplied,
    Tensor.__mul__: _multiplied,
    Tensor.__rmul__: _multiplied,
}
