"""EfficientNet-Lite as the vision tower of a LLaVA: the one part of the field model that transformers has no class for.

::

    pixels (B, 3, S, S) --stem, 21 blocks, head--> (B, 1280, s, s) --mean of 3 x 3, every second--> (B, 1280, g, g)
                        --flatten, LayerNorm, + positions--> (B, g * g, 1280)

Convolutions of arXiv 1905.11946 without squeeze-and-excitation and with ReLU6, as the Lite variants have them; batch
normalisation is folded into them when the model is assembled (:mod:`heliograph.training.field.vision_weights`). They
pad as TensorFlow's ``SAME`` does, more at the right and bottom where it must be uneven. LayerNorm and
positions are ours and trained with the projector; everything behind them is transformers' own LLaVA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

MODEL_TYPE = "heliograph_efficientnet_lite"


@dataclass(frozen=True)
class Stage:
    """Blocks of one width.

    Attributes:
        repeats: blocks, of which the first one has the stride.
        kernel, stride: of their depthwise convolutions.
        expansion: channels inside a block over those that come in.
        width: channels that go out.
    """

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


LITE2 = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)
"""EfficientNet-Lite2: widths 1.1 and depths 1.2 of the base network, stem and head as they are."""

_STEM_WIDTH = 32


class TowerConfig(PreTrainedConfig):  # type: ignore[misc]
    """What the tower is made of; the numbers are EfficientNet-Lite2's.

    Args:
        hidden_size: channels of the head.
        image_size: S, side of the picture in pixels.
        stages: a list of (repeats, kernel, stride, expansion, width).
        grid: g, tokens along each side.
    """

    model_type = MODEL_TYPE

    hidden_size: int = 1280
    image_size: int = 260
    stages: list[list[int]] | None = None
    grid: int = 5

    def __post_init__(self, **kwargs: Any) -> None:
        if self.stages is None:
            self.stages = [[one.repeats, one.kernel, one.stride, one.expansion, one.width] for one in LITE2]
        super().__post_init__(**kwargs)


class Tower(PreTrainedModel):  # type: ignore[misc]
    """See the module."""

    config_class = TowerConfig
    main_input_name = "pixel_values"
    base_model_prefix = "vision_tower"
    _no_split_modules: ClassVar[list[str]] = ["Block"]

    def __init__(self, config: TowerConfig) -> None:
        super().__init__(config)
        stages = [Stage(*numbers) for numbers in config.stages or ()]
        self.stem = SameConv(3, _STEM_WIDTH, kernel=3, stride=2)
        self.blocks = nn.ModuleList(_blocks(stages))
        self.head = SameConv(stages[-1].width, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.positions = nn.Parameter(torch.zeros(config.grid**2, config.hidden_size))
        self.post_init()

    def forward(self, pixel_values: Tensor, **ignored: Any) -> BaseModelOutputWithPooling:
        """Tokens of pictures, (B, 3, S, S) to (B, g * g, 1280); the same are the only hidden states."""
        cells = self.features(pixel_values)  # (B, 1280, s, s)
        tokens = self.norm(pooled(cells, self.config.grid)) + self.positions  # (B, g * g, 1280)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=(tokens,))

    def features(self, pixel_values: Tensor) -> Tensor:
        """What the pretrained network says, (B, 3, S, S) to (B, 1280, s, s), all of it at least 0."""
        made = functional.relu6(self.stem(pixel_values))
        for block in self.blocks:
            made = block(made)
        return functional.relu6(self.head(made))

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            nn.init.zeros_(self.positions)


def pooled(cells: Tensor, grid: int) -> Tensor:
    """(B, C, s, s) to (B, g * g, C): as they are, or where there are about twice as many along a side, the means of
    three by three around every second.

    Raises:
        ValueError: another number than the two.
    """
    side = cells.shape[-1]
    if grid == (side + 1) // 2:
        cells = functional.avg_pool2d(cells, 3, stride=2, padding=1, count_include_pad=False)
    elif grid != side:
        raise ValueError(f"{side} x {side} cells make {side} x {side} tokens, or {(side + 1) // 2} along a side")
    return cells.flatten(2).transpose(1, 2)


class Block(nn.Module):
    """Wider by 1 x 1, across by k x k in every channel alone, narrower by 1 x 1; added to what came in if it fits."""

    def __init__(self, given: int, expansion: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        inside = given * expansion
        self.expand = SameConv(given, inside) if expansion > 1 else None
        self.depthwise = SameConv(inside, inside, kernel=kernel, stride=stride, groups=inside)
        self.project = SameConv(inside, width)
        self.adds = stride == 1 and given == width

    def forward(self, given: Tensor) -> Tensor:
        """(B, C, h, w) to (B, width, h', w')."""
        wide = functional.relu6(self.expand(given)) if self.expand is not None else given
        made: Tensor = self.project(functional.relu6(self.depthwise(wide)))
        return made + given if self.adds else made


class SameConv(nn.Conv2d):
    """A convolution whose output has ceil(side / stride) cells."""

    def __init__(self, given: int, width: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(given, width, kernel, stride=stride, groups=groups)

    def forward(self, given: Tensor) -> Tensor:
        """(B, C, h, w) to (B, width, h', w')."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        sides = []
        for side in (given.shape[-1], given.shape[-2]):
            short = max((side - 1) // stride * stride + kernel - side, 0)
            sides += [short // 2, short - short // 2]
        return super().forward(functional.pad(given, sides) if any(sides) else given)


def _blocks(stages: list[Stage]) -> list[Block]:
    made, given = [], _STEM_WIDTH
    for stage in stages:
        for number in range(stage.repeats):
            stride = 1 if number else stage.stride
            made.append(Block(given, stage.expansion, stage.width, stage.kernel, stride))
            given = stage.width
    return made


def register_tower() -> None:
    """Let transformers' loaders know the tower; again and again does no harm."""
    AutoConfig.register(MODEL_TYPE, TowerConfig, exist_ok=True)
    AutoModel.register(TowerConfig, Tower, exist_ok=True)
