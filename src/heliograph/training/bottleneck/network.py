"""A device's light encoder, what its latents cost, and what makes a tower's tokens of them in the cloud.

::

    pixels (B, 3, S, S) --DeviceEncoder, strided convolutions--> latents y (B, C, S/16, S/16)
        --times the gain of a rate, + noise or rounded--> u --Prior--> bits
        u --over the gain--> Synthesis --> hidden states --the tower's own blocks, copied--> tokens (B, N, D)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.errors import ModelUnsupportedError

STRIDE = 16
"""Pixels along an edge for one place of the latents: a patch of the tower."""

_SMALLEST_CHANCE = 1e-9
_COMPONENTS = 3
_LOG_GAINS = (-1.6, 0.4)


@dataclass(frozen=True)
class BottleneckSizes:
    """Widths.

    Attributes:
        stem, middle, last: channels at strides 4, 8 and 16 of the device's encoder.
        latents: C, channels of the latents.
        rates: R, how many rates one model knows.
    """

    stem: int = 40
    middle: int = 80
    last: int = 112
    latents: int = 64
    rates: int = 6


class _Separable(nn.Module):
    """Depthwise 3 x 3 and pointwise convolutions around a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = x + self.mix(functional.hardswish(self.spread(x)))
        return mixed


class DeviceEncoder(nn.Module):
    """RGB levels 0 to 255 (B, 3, S, S) float32 to latents (B, C, S/16, S/16): a linear map of every patch, and what a
    light network adds to it, nothing at first."""

    def __init__(self, sizes: BottleneckSizes) -> None:
        super().__init__()
        self.straight = nn.Conv2d(3, sizes.latents, STRIDE, stride=STRIDE)
        self.stem = nn.Conv2d(3, sizes.stem, 4, stride=4)
        self.down = nn.Sequential(
            nn.Conv2d(sizes.stem, sizes.stem, 3, stride=2, padding=1, groups=sizes.stem),
            nn.Conv2d(sizes.stem, sizes.middle, 1),
        )
        self.middle = _Separable(sizes.middle)
        self.fold = nn.Conv2d(sizes.middle, sizes.last, 2, stride=2)
        self.last = _Separable(sizes.last)
        self.out = nn.Conv2d(sizes.last, sizes.latents, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        levels = pixels / 127.5 - 1.0
        x = functional.hardswish(self.stem(levels))  # (B, stem, S/4, S/4)
        x = self.middle(functional.hardswish(self.down(x)))  # (B, middle, S/8, S/8)
        x = self.last(functional.hardswish(self.fold(functional.hardswish(x))))  # (B, last, S/16, S/16)
        latents: Tensor = self.straight(levels) + self.out(functional.hardswish(x))
        return latents


class Prior(nn.Module):
    """A density for each channel at each rate: a mixture of logistic curves; no channel knows of another.

    It counts bits while training. What codes them is counted afterwards, see :mod:`heliograph.codec.channel_tables`.
    """

    def __init__(self, sizes: BottleneckSizes) -> None:
        super().__init__()
        shape = (sizes.rates, sizes.latents, _COMPONENTS)
        self.weight = nn.Parameter(torch.zeros(shape))
        self.place = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.linspace(-1.0, 1.5, _COMPONENTS).expand(shape).clone())

    def bits(self, scaled: Tensor, rates: Tensor) -> Tensor:
        """Bits (B,) of scaled latents (B, C, h, w) at rates (B,) int64."""
        shares = self.weight[rates].softmax(-1)[..., None, None]  # (B, C, K, 1, 1)
        place, scale = self.place[rates][..., None, None], self.log_scale[rates].exp()[..., None, None]
        off = scaled[:, :, None] - place  # (B, C, K, h, w)
        chance = torch.sigmoid((off + 0.5) / scale) - torch.sigmoid((off - 0.5) / scale)
        return -(shares * chance).sum(2).clamp(min=_SMALLEST_CHANCE).log2().flatten(1).sum(1)


class Synthesis(nn.Module):
    """Latents (B, C, h, w) at rates (B,) to hidden states (B, h * w, W) of the tower."""

    def __init__(self, sizes: BottleneckSizes, width: int, places: Tensor) -> None:
        super().__init__()
        self.widen = nn.Conv2d(sizes.latents, width, 1)
        last = nn.Conv2d(2 * width, width, 1)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Conv2d(width, 2 * width, 1),
            nn.Hardswish(),
            last,
        )
        for parameter in last.parameters():  # it adds nothing at first
            nn.init.zeros_(parameter)
        self.places = nn.Parameter(places.clone())  # (h * w, W)
        self.rate = nn.Parameter(torch.zeros(sizes.rates, width))

    def forward(self, latents: Tensor, rates: Tensor) -> Tensor:
        """See the class."""
        x = self.widen(latents)
        x = x + self.mix(x)
        hidden: Tensor = x.flatten(2).transpose(1, 2) + self.places + self.rate[rates][:, None]
        return hidden


class Bottleneck(nn.Module):
    """Both ends.

    Args:
        model: an Idefics3 model with patches of 16 pixels, whose blocks and projector are copied.
        sizes: widths.

    Raises:
        ModelUnsupportedError: its tower has other patches, or no blocks to copy.
    """

    def __init__(self, model: Any, sizes: BottleneckSizes) -> None:
        super().__init__()
        tower = model.model.vision_model
        if tower.config.patch_size != STRIDE:
            raise ModelUnsupportedError().noted(f"a bottleneck needs a tower with patches of {STRIDE} pixels.")
        self.sizes = sizes
        self.encoder, self.prior = DeviceEncoder(sizes), Prior(sizes)
        start = torch.linspace(*_LOG_GAINS, sizes.rates)[:, None].expand(-1, sizes.latents)
        self.log_gain = nn.Parameter(start.clone())
        places = tower.embeddings.position_embedding.weight.detach()
        self.synthesis = Synthesis(sizes, tower.config.hidden_size, places)
        self.tail = copy.deepcopy(nn.ModuleList(tower.encoder.layers))
        self.norm, self.connector = copy.deepcopy(tower.post_layernorm), copy.deepcopy(model.model.connector)
        for one in (self.tail, self.norm, self.connector):
            one.requires_grad_(True)

    def gain(self, rates: Tensor) -> Tensor:
        """(B, C, 1, 1) of rates (B,)."""
        return self.log_gain[rates].exp()[..., None, None]

    def blocks(self, scaled: Tensor, rates: Tensor) -> tuple[list[Tensor], Tensor]:
        """Hidden states before each copied block and behind the last one, (B, N, W) each, and tokens (B, N, D), from
        scaled latents (B, C, h, w)."""
        hidden = self.synthesis(scaled / self.gain(rates), rates)
        states = [hidden]
        for block in self.tail:
            hidden = block(hidden, None)
            states.append(hidden)
        return states, self.connector(self.norm(hidden))


@torch.no_grad()
def teacher_blocks(model: Any, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
    """The same of the unmodified tower.

    Args:
        model: the Idefics3 model.
        pixels: (B, 3, S, S) float32 levels 0 to 255.
    """
    tower = model.model.vision_model
    side = pixels.shape[-1] // tower.config.patch_size
    mask = torch.ones(len(pixels), side, side, dtype=torch.bool)
    hidden = tower.embeddings(pixel_values=pixels / 127.5 - 1.0, patch_attention_mask=mask)
    states = [hidden]
    for block in tower.encoder.layers:
        hidden = block(hidden, None)
        states.append(hidden)
    return states, model.model.connector(tower.post_layernorm(hidden))


@torch.no_grad()
def attention_saliency(model: Any, states: list[Tensor]) -> Tensor:
    """(B, N) attention that each place receives in the tower's second-last block, mean over heads and queries, 1 on
    average over the places of a photo.

    Args:
        model: the Idefics3 model.
        states: of :func:`teacher_blocks`.
    """
    layer = model.model.vision_model.encoder.layers[-2]
    normed = layer.layer_norm1(states[-3])
    heads = layer.self_attn.num_heads
    query = layer.self_attn.q_proj(normed).unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, N, w)
    key = layer.self_attn.k_proj(normed).unflatten(-1, (heads, -1)).transpose(1, 2)
    scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    received: Tensor = scores.softmax(-1).mean((1, 2)) * normed.shape[1]
    return received
