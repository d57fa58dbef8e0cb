"""The blocks of a model's vision tower, found by watching one pass; each can be left out, or its results given.

::

    pass over a grey photo --which list of modules hands states (T, P, d) from one to the next?--> blocks 1, 2, ... L
    states behind block k (T, P, d) --in place of what blocks 1 ... k make--> k + 1 ... L, projector

No family is known here: blocks are the longest list whose modules run one after the other, each on what the one before
gave. They are entered as the tap is: for the time of a call an instance's ``forward`` is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.types import FloatArray, VisualTokens
from heliograph.vlm.tap import intercepted

_FORWARD = "forward"
_RANK = 3


class _ReachedError(Exception):
    """Ends a pass once the states wanted are there."""


@dataclass(frozen=True, eq=False)
class TowerBlocks:
    """Blocks of a tower for photos of one size.

    Attributes:
        modules: the blocks, first one first; none where there are none to be found.
        shape: (T, P, d) of the states between them.
        grey: a pass over a grey photo.
        blank: a pass over a photo that shows nothing, to be entered.
    """

    modules: tuple[nn.Module, ...]
    shape: tuple[int, ...]
    grey: Callable[[], Any]
    blank: Callable[[], VisualTokens]
    _greys: dict[int, FloatArray] = field(default_factory=dict)

    def grey_states(self, block: int) -> FloatArray:
        """(T, P, d) float32: what the first ``block`` blocks make of a grey photo.

        Raises:
            ModelUnsupportedError: there are not more than so many blocks.
        """
        self._check(block)
        if block not in self._greys:
            self._greys[block] = self._stopped(self.modules[block - 1])
        return self._greys[block]

    def tokens_behind(self, block: int, states: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32.

        Args:
            block: how many blocks are left out.
            states: (T, P, d) float32, what these make of the photo.

        Raises:
            ModelUnsupportedError: there are not more than so many blocks.
            ShapeError: another shape.
            AnsweringFailedError: the tower gives values that are no tokens, or the checkpoint has damaged weights.
        """
        self._check(block)
        if states.shape != self.shape:
            raise ShapeError().noted(f"states between blocks have the shape {self.shape}, not {states.shape}.")
        weight = next(self.modules[block].parameters())
        given = torch.from_numpy(np.ascontiguousarray(states)).to(weight)  # (T, P, d)
        with ExitStack() as entered:
            for module in self.modules[:block]:
                entered.enter_context(intercepted(module, _giving(given), _FORWARD))
            return self.blank()

    def _stopped(self, module: nn.Module) -> FloatArray:
        seen: list[Tensor] = []

        def stop(original: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(original(*args, **kwargs))
            raise _ReachedError

        try:
            with intercepted(module, stop, _FORWARD):
                self.grey()
        except _ReachedError:
            return np.ascontiguousarray(seen[0].detach().float().cpu().numpy())
        raise ModelUnsupportedError().noted("its vision tower makes tokens without its blocks.")

    def _check(self, block: int) -> None:
        if not 1 <= block < len(self.modules):
            raise ModelUnsupportedError().noted(
                f"its vision tower has {len(self.modules)} blocks of one state per patch, and none is entered behind "
                f"block {block}: send tokens."
            )


def find_blocks(
    model: nn.Module, grey: Callable[[], Any], blank: Callable[[], VisualTokens], patches: int
) -> TowerBlocks:
    """The blocks that a pass goes through; none where no list of modules is such, as in a convolutional tower.

    Args:
        model: with one vision tower.
        grey: a pass of processor and tower over a grey photo.
        blank: a pass of the tower over a photo that shows nothing.
        patches: of a tile; a block has one state for each.
    """
    lists = [one for one in model.modules() if isinstance(one, nn.ModuleList) and len(one) > 1]
    passed: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
    hooks = [
        block.register_forward_hook(
            lambda module, args, kwargs, made: passed.setdefault(module, []).append(_passage(args, kwargs, made)),
            with_kwargs=True,
        )
        for one in lists
        for block in one
    ]
    try:
        grey()
    finally:
        for hook in hooks:
            hook.remove()
    fitting = [tuple(one) for one in lists if _in_a_row(tuple(one), passed, patches)]
    found = max(fitting, key=len, default=())
    shape = tuple(passed[found[0]][0][1].shape) if found else ()
    return TowerBlocks(found, shape, grey, blank)


def _passage(args: Sequence[Any], kwargs: dict[str, Any], made: Any) -> tuple[Any, Any]:
    """What a module was given first and what it made."""
    return (args[0] if args else next(iter(kwargs.values()), None)), made


def _in_a_row(blocks: Sequence[nn.Module], passed: dict[nn.Module, list[tuple[Tensor, Tensor]]], patches: int) -> bool:
    once = [passed.get(block, []) for block in blocks]
    if any(len(one) != 1 for one in once):
        return False
    passages = [one[0] for one in once]
    made = passages[0][1]
    states = isinstance(made, Tensor) and made.dim() == _RANK and made.shape[1] == patches
    alike = states and all(isinstance(one, Tensor) and one.shape == made.shape for pair in passages for one in pair)
    return alike and all(one[1] is other[0] for one, other in pairwise(passages))


def _giving(states: Tensor) -> Callable[..., Any]:
    return lambda original, *args, **kwargs: states
