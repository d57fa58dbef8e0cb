"""A small learned picture codec: it restores pixels, and knows nothing of any model that looks at them.

::

    pixels (B, 3, S, S) --DeviceEncoder--> latents y (B, C, S/16, S/16) --times the gain of a rate, + noise or
        rounded--> u --Prior--> bits
        u --over the gain--> Picture --> pixels

Only the encoder, the gains and tables of the integers ship: nobody draws the picture again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.training.bottleneck.lessons import LossFigures, Places, rounded
from heliograph.training.bottleneck.network import STRIDE, BottleneckSizes, DeviceEncoder, Prior
from heliograph.training.bottleneck.scenes import Bytes

CODEC_RATE_WEIGHTS = (4e-3, 2e-3, 1e-3, 5e-4, 2.2e-4, 1e-4)
"""Of a byte, against an error of one: that of a picture of which nothing is known but its mean."""

_LOG_GAINS = (-2.3, 0.2)
_WIDTHS, _MIN_WIDTH = (0.1, 0.3, 0.8), 0.08
_REFINING = 96
_QUICK_SHARE = 5.0  # of the learning rate, for the prior and the gains: each of their values stands for much
_SLOW_SHARE = 0.2  # for what starts near where it belongs
_STARTED_ON = 512


class Picture(nn.Module):
    """Latents (B, C, h, w) to RGB from -1 to 1 (B, 3, 16 h, 16 w): a linear map of every place, and what a network adds
    to it, nothing at first."""

    def __init__(self, sizes: BottleneckSizes) -> None:
        super().__init__()
        self.straight = nn.Conv2d(sizes.latents, 3 * STRIDE * STRIDE, 1)
        self.widen = nn.Conv2d(sizes.latents, 4 * _REFINING, 3, padding=1)
        self.spread = nn.Conv2d(_REFINING, 4 * _REFINING, 3, padding=1)
        self.out = nn.Conv2d(_REFINING, 3 * (STRIDE // 4) ** 2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, latents: Tensor) -> Tensor:
        """See the class."""
        plain = functional.pixel_shuffle(self.straight(latents), STRIDE)
        x = functional.pixel_shuffle(functional.gelu(self.widen(latents)), 2)  # (B, 96, 2 h, 2 w)
        x = functional.pixel_shuffle(functional.gelu(self.spread(x)), 2)  # (B, 96, 4 h, 4 w)
        return plain + functional.pixel_shuffle(self.out(x), STRIDE // 4)


class PictureCodec(nn.Module):
    """Both ends of the codec.

    Args:
        sizes: widths.
    """

    def __init__(self, sizes: BottleneckSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder, self.prior, self.picture = DeviceEncoder(sizes), Prior(sizes), Picture(sizes)
        start = torch.linspace(*_LOG_GAINS, sizes.rates)[:, None].expand(-1, sizes.latents)
        self.log_gain = nn.Parameter(start.clone())

    def gain(self, rates: Tensor) -> Tensor:
        """(B, C, 1, 1) of rates (B,)."""
        return self.log_gain[rates].exp()[..., None, None]

    @torch.no_grad()
    def start(self, pixels: Tensor) -> None:
        """Set the linear paths of both ends to the main directions of patches, the prior as wide as the latents are.

        Args:
            pixels: (I, 3, S, S) float32 levels of a few hundred pictures.
        """
        patches = functional.unfold(pixels / 127.5 - 1.0, STRIDE, stride=STRIDE).transpose(1, 2).flatten(0, 1)
        middle = patches.mean(0)  # (3 * 16 * 16,), channel by channel as weights of convolutions are
        covariance = (patches - middle).T @ (patches - middle) / len(patches)
        main = torch.linalg.eigh(covariance)[1].flip(1)[:, : self.sizes.latents]  # (768, C)
        straight, picture = self.encoder.straight, self.picture.straight
        straight.weight.copy_(main.T.reshape(straight.weight.shape))
        bias = -main.T @ middle  # (C,)
        straight.bias.copy_(bias)  # type: ignore[union-attr]
        picture.weight.copy_(main[..., None, None])
        picture.bias.copy_(middle)  # type: ignore[union-attr]
        latents = self.encoder(pixels).transpose(0, 1).flatten(1)  # (C, I * P)
        scaled = latents.std(1) * self.log_gain.exp()  # (R, C)
        self.prior.log_scale.copy_((scaled[..., None] * torch.tensor(_WIDTHS) + _MIN_WIDTH).log())


class CodecLesson:
    """Pixels and bytes; see :class:`heliograph.training.ordered.loop.Lesson`.

    Args:
        codec: to train.
        pixels: (I, S, S, 3) uint8; the first of them only report.
        held_out: how many do.
        batch: photos a step.
    """

    first_asks = 1.0  # nobody is asked anything

    def __init__(self, codec: PictureCodec, pixels: Bytes, held_out: int, batch: int = 24) -> None:
        self.module: nn.Module = codec
        self.codec, self._pixels, self._held_out, self._batch = codec, pixels, held_out, batch
        some = self.pixels(np.arange(held_out, min(held_out + _STARTED_ON, len(pixels))))
        self.variance = float((some / 127.5).var(0).mean())

    def pixels(self, places: Places) -> Tensor:
        """(B, 3, S, S) float32 levels."""
        return torch.from_numpy(self._pixels[places]).permute(0, 3, 1, 2).float()

    def groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate."""
        one = self.codec
        quick = [*one.prior.parameters(), one.log_gain]
        slow = [*one.encoder.straight.parameters(), *one.picture.straight.parameters()]
        known = {id(parameter) for parameter in (*quick, *slow)}
        fast = [parameter for parameter in one.parameters() if id(parameter) not in known]
        shares = ((fast, 1.0), (slow, _SLOW_SHARE), (quick, _QUICK_SHARE))
        return [{"params": some, "share": share, "weight_decay": 0.0} for some, share in shares]

    def loss(self, rng: np.random.Generator, *, asks: bool) -> LossFigures:
        """The loss of one batch, with figures to report."""
        places = rng.integers(self._held_out, len(self._pixels), self._batch)
        rates = torch.from_numpy(rng.integers(self.codec.sizes.rates, size=self._batch))
        pixels = self.pixels(places)
        gain = self.codec.gain(rates)
        scaled = self.codec.encoder(pixels) * gain
        stream_bytes = self.codec.prior.bits(scaled + torch.rand_like(scaled) - 0.5, rates) / 8  # (B,)
        errors = self._errors(self.codec.picture(rounded(scaled) / gain), pixels)
        loss = (errors + torch.tensor(CODEC_RATE_WEIGHTS)[rates] * stream_bytes).mean()
        return loss, {"error": float(errors.detach().mean()), "bytes": float(stream_bytes.detach().mean())}

    def _errors(self, found: Tensor, pixels: Tensor) -> Tensor:
        """(B,) mean squared error in variances of a pixel over pictures."""
        return (found - (pixels / 127.5 - 1.0)).square().flatten(1).mean(1) / self.variance

    def stepped(self) -> None:
        """Nothing follows a step."""

    @torch.no_grad()
    def figures(self) -> str:
        """Bytes, and decibels of pixels, of held-out scenes at every rate."""
        return "  ".join(
            f"{rate}: {size:.0f} B {decibel:.1f} dB" for rate, (size, decibel) in enumerate(self.examined())
        )

    @torch.no_grad()
    def examined(self, count: int = 48) -> list[tuple[float, float]]:
        """For every rate: bytes of a photo by the prior, and the signal-to-noise ratio of its pixels in dB."""
        pixels = self.pixels(np.arange(min(count, self._held_out)))
        latents, made = self.codec.encoder(pixels), []
        for rate in range(self.codec.sizes.rates):
            rates = torch.full((len(pixels),), rate)
            scaled = (latents * self.codec.gain(rates)).round()
            shown = self.codec.picture(scaled / self.codec.gain(rates)).clamp(-1, 1)
            noise = (shown - (pixels / 127.5 - 1.0)).square().flatten(1).mean(1)  # (B,), full scale is 2
            size = float(self.codec.prior.bits(scaled, rates).mean()) / 8
            made.append((size, float((4.0 / noise).log10().mean()) * 10))
        return made
