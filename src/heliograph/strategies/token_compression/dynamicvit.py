"""``dynamicvit``: visual tokens that a small trained predictor lets go, before three blocks of the tower.

::

    states before block l --predictor: local half, mean of the global halves--> log P(keep) --> k_s of them stay
        before a quarter, a half and three quarters of the blocks; what is left goes on alone
    kept tokens, the surest first --[place, token] each--> one codeword
    any prefix --tokens known so far--> kriging over the grid --> (N, D)

DynamicViT (arXiv 2106.02034): predictors are trained with a Gumbel-softmax decision that masks attention, and at
inference the best k are kept, N rho^s after stage s. Different here: the tower is frozen and only the predictors are
trained, without labels, on what the cloud restores (:mod:`heliograph.training.pruning.train`); there is no class token;
one set of predictors, trained at rho = .7, ranks for every rho; and since the cloud's model is left as it is, kept
tokens are quantised and entropy-coded (:mod:`heliograph.codec.token_rows`) and the others are predicted. The predictors
are a part of the device alone: a cloud decodes without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.codec.parts import Part
from heliograph.codec.row_places import ChosenPlaces
from heliograph.codec.token_rows import MAX_ROW_LEVEL, RowCoder, row_statistics
from heliograph.errors import BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundlePart, FileFault, StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
)
from heliograph.strategies.kept_tokens import PackedTokens, StreamHead, checked_tokens, closed_form, packed, read_head
from heliograph.strategies.missing import PREDICTED, filled_tokens
from heliograph.strategies.towers import BlockUnits, Shortening
from heliograph.types import EncodedImage, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_STAGES, _MAX_BLOCK = 8, 255


class DynamicVitStrategy(Strategy):
    """Header: that of :mod:`heliograph.strategies.kept_tokens`, without a number of tokens.

    Knobs: ``ratio``, rho in percent, what each stage keeps of the tokens before it; ``level``, eighth octaves of the
    codec's finest step above which everything is known of the tokens.
    """

    name: ClassVar[str] = "dynamicvit"
    default_setting: ClassVar[Setting] = {"ratio": 70, "level": 25}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    codec: ClassVar[str] = "klt"
    missing: ClassVar[str] = PREDICTED
    needs_part: ClassVar[bool] = True
    family: ClassVar[Family] = Family.TOKEN_COMPRESSION
    paper: ClassVar[str | None] = "2106.02034"

    def settings(self) -> tuple[Setting, ...]:
        """Settings from four of 64 tokens to 54, with levels that suit them."""
        coarse = ((40, 28), (50, 28), (57, 25), (64, 25), (70, 25), (75, 25), (75, 20), (80, 20), (90, 20))
        ladder = (*coarse, (90, 14), (95, 14), (95, 8))
        return tuple({"ratio": ratio, "level": level} for ratio, level in ladder)

    def tower_units(self, setting: Setting, tokens: int, blocks: int) -> tuple[BlockUnits, ...]:
        """Fewer units from each stage on, which a predictor looks at before."""
        ratio, stages = int(self.complete_setting(setting)["ratio"]) / 100, usual_stages(blocks)
        left, found = tokens, list[BlockUnits]()
        for block in range(blocks):
            scored = left if block in stages else 0
            left = kept_units(tokens, ratio, stages.index(block) + 1) if scored else left
            found.append(BlockUnits(left, left, scored))
        return tuple(found)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """Kept tokens, the surest first.

        Raises:
            CodecMissingError: the bundle has no ``klt``.
            PartMissingError: there are no predictors for its model.
            ModelUnsupportedError: its encoder is no tower of plain blocks.
        """
        completed = self.complete_setting(setting)
        ratio = int_knob(completed, "ratio", 1, 100) / 100
        level = int_knob(completed, "level", 0, MAX_ROW_LEVEL)
        codec = closed_form(tools)  # before the tower runs: a bundle without this codec is refused at once
        choice = Choice(tools.part(self.name), ratio)
        short = tools.tower.shortened(photo, choice)
        tokens = checked_tokens(short.tokens, codec)
        kept = np.flatnonzero(short.clusters >= 0)
        places = kept[np.argsort(-choice.scores[short.clusters[kept]], kind="stable")].tolist()
        grid = tokens.grid
        parts = [(places, ChosenPlaces(grid.tokens))]
        coder = RowCoder(row_statistics(codec, grid), level)
        segments = packed(tokens.values[places], parts, coder, grid, chapters=True)
        return EncodedImage(self.name, StreamHead(level, grid).pack(codec), segments)

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens from any prefix.

        Raises:
            StreamDamagedError: the header is none of this strategy's.
        """
        head = read_head(encoded.header, tools)
        if head.small or head.extra or head.count:
            raise StreamDamagedError(StreamFault.HEADER)
        grid, statistics = head.grid, row_statistics(closed_form(tools), head.grid)
        found = PackedTokens(encoded.segments, RowCoder(statistics, head.level), grid, chapters=True)
        found.take(grid.tokens, ChosenPlaces(grid.tokens))
        return Restored(tokens=filled_tokens(found.spectrum, found.places, statistics, grid, self.missing))


class Choice:
    """Says before each stage which units stay; a :data:`heliograph.strategies.towers.Shorten`.

    Args:
        part: the predictors.
        ratio: rho.

    Attributes:
        scores: (t,) float32 of the units that are left, of the last stage.

    Raises:
        BundleDamagedError: the part does not say where its predictors stand.
    """

    def __init__(self, part: Part, ratio: float) -> None:
        self._part, self._ratio, self._stages = part, ratio, stages_of(part)
        self.scores = np.zeros(0, np.float32)

    def __call__(self, now: Shortening) -> npt.NDArray[np.int64] | None:
        """(t,) int64: place among those that stay, -1 for those that go; None but before a stage."""
        if not len(self.scores):
            self.scores = np.zeros(len(now.states), np.float32)
        if now.keys is not None or now.block not in self._stages:
            return None
        scores = self._scored(now)
        stage = self._stages.index(now.block) + 1
        count = min(kept_units(len(now.clusters), self._ratio, stage), len(scores))
        stays = np.sort(np.argsort(-scores, kind="stable")[:count])
        becomes = np.full(len(scores), -1, np.int64)
        becomes[stays] = np.arange(len(stays))
        self.scores = scores[stays]
        return becomes

    def _scored(self, now: Shortening) -> FloatArray:
        """(t,) log-probabilities of staying, the mean over a unit's patches."""
        flat = np.ascontiguousarray(now.states.reshape(1, -1, now.states.shape[-1]), np.float32)
        try:
            (made,) = self._part.network(f"stage-{now.block}").run(None, {"states": flat})
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise ShapeError().noted("the predictors are not for a tower of this width.") from error
        return np.asarray(made.reshape(len(now.states), -1).mean(axis=1), np.float32)


def usual_stages(blocks: int) -> tuple[int, ...]:
    """Blocks that a predictor stands before: after a quarter, a half and three quarters of the tower."""
    return tuple(sorted({max(1, blocks * share // 4) for share in (1, 2, 3)}))


def kept_units(tokens: int, ratio: float, stage: int) -> int:
    """How many of N stay at a stage, 1 for the first."""
    return max(1, int(tokens * ratio**stage + 1e-9))


def stages_of(part: Part) -> list[int]:
    """Blocks that predictors stand before.

    Raises:
        BundleDamagedError: the part does not say.
    """
    found = part.card.get("stages")
    if (
        not isinstance(found, list)
        or not 1 <= len(found) <= _MAX_STAGES
        or not all(isinstance(one, int) and 0 <= one <= _MAX_BLOCK for one in found)
    ):
        raise BundleDamagedError(BundlePart.PART, FileFault.CONTENT).noted("It does not say where predictors stand.")
    return found
