"""What the two bottlenecks learn, as lessons of the common training loop.

Both sums hold the mean error of a photo plus its bytes times the weight of its rate; every photo of a batch has a rate
of its own, drawn at random. Rounding is noise for the prior, and for the decoder rounding whose gradient is that of
nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from heliograph.reference.questions import questions
from heliograph.reference.scenes import plan_scene
from heliograph.training.bottleneck.network import Bottleneck, attention_saliency, teacher_blocks
from heliograph.training.bottleneck.scenes import Bytes
from heliograph.training.meta.teacher import Teacher

RATE_WEIGHTS = (4e-3, 2e-3, 1e-3, 5e-4, 2.5e-4, 1.2e-4)
"""Of a byte, against an error of one: that of a photo of which nothing is known."""

Places = npt.NDArray[np.int64]
LossFigures = tuple[Tensor, dict[str, float]]
_ASKED_QUESTIONS = 6
_MAX_ROUND = 1 << 20
_HELD_OUT_QUESTIONS = 8
_ANSWER_WEIGHT = 2.0
_SALIENT_SHARE = 0.5
_SLOW_SHARE = 0.2  # of the learning rate, for what starts near where it belongs
_QUICK_SHARE = 5.0  # for the prior and the gains: each of their values stands for much


class Material:
    """Scenes with their questions, and the frozen model.

    Args:
        teacher: the frozen model.
        pixels: (I, 128, 128, 3) uint8; the first sixteenth, 256 at most, only reports.
        seeds: of the scenes.
    """

    def __init__(self, teacher: Teacher, pixels: Bytes, seeds: Sequence[int]) -> None:
        self.teacher, self._pixels, self._seeds = teacher, pixels, seeds
        self.model = teacher.model.torch_model
        self.scenes, self.held_out = len(pixels), min(256, len(pixels) // 16)
        self._tokenizer = teacher.model.processor.tokenizer
        few = teacher_blocks(self.model, self.pixels(np.arange(min(64, len(pixels)))))
        self.variance = few[1].var((0, 1))  # (D,)
        self.state_variances = [one.var((0, 1)).clamp(min=1e-4) for one in few[0]]  # each (W,)

    def draw(self, rng: np.random.Generator, count: int) -> Places:
        """Places of as many training scenes."""
        return rng.integers(self.held_out, len(self._pixels), count)

    def some(self, count: int = 192) -> Places:
        """Places of the first training scenes, for what is set before training."""
        return np.arange(self.held_out, min(self.held_out + count, self.scenes))

    def pixels(self, places: Places) -> Tensor:
        """(B, 3, 128, 128) float32 levels."""
        return torch.from_numpy(self._pixels[places]).permute(0, 3, 1, 2).float()

    def asked(self, place: int, round_number: int, most: int) -> list[tuple[str, tuple[int, ...]]]:
        """Questions about a scene with the ids of their answers."""
        found = questions(plan_scene(self._seeds[place]), round_number=round_number)
        order = np.random.default_rng((self._seeds[place], round_number)).permutation(len(found))[:most]
        return [(found[i].question, tuple(self._tokenizer(f" {found[i].answer}")["input_ids"])) for i in order]

    def divergence(self, rng: np.random.Generator, places: Places, exact: Tensor, restored: Tensor) -> Tensor:
        """Mean divergence of answers about these scenes, in nats per answer token."""
        asked = [self.asked(int(one), int(rng.integers(1, _MAX_ROUND)), _ASKED_QUESTIONS) for one in places]
        return self.teacher.distance(self.teacher.pack(asked), exact, restored)


class BottleneckLesson:
    """A :class:`heliograph.training.ordered.loop.Lesson`: frankensplit's way, tokens weighted by saliency, rate, and
    in the second phase the answers.

    Args:
        bottleneck: to train.
        material: scenes and the frozen model.
        batch: photos a step; with questions half as many.
        first_asks: share of the run before answers count.
    """

    def __init__(self, bottleneck: Bottleneck, material: Material, batch: int = 24, first_asks: float = 0.5) -> None:
        self.module: nn.Module = bottleneck
        self.bottleneck, self.material = bottleneck, material
        self._batch, self.first_asks = batch, first_asks

    def groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate; what was copied goes slowly."""
        one = self.bottleneck
        slow = [*one.tail.parameters(), *one.norm.parameters(), *one.connector.parameters(), one.synthesis.places]
        slow += [*one.encoder.straight.parameters(), *one.synthesis.widen.parameters()]
        quick = [*one.prior.parameters(), one.log_gain]
        known = {id(parameter) for parameter in (*slow, *quick)}
        fast = [parameter for parameter in one.parameters() if id(parameter) not in known]
        shares = ((fast, 1.0), (slow, _SLOW_SHARE), (quick, _QUICK_SHARE))
        return [{"params": some, "share": share, "weight_decay": 0.0} for some, share in shares]

    def loss(self, rng: np.random.Generator, *, asks: bool) -> LossFigures:
        """The loss of one batch, with figures to report."""
        count = self._batch // 2 if asks else self._batch
        places = self.material.draw(rng, count)
        rates = torch.from_numpy(rng.integers(self.bottleneck.sizes.rates, size=count))
        return self._summed(rng, places, rates, asks)

    def _summed(
        self, rng: np.random.Generator, places: Any, rates: Tensor, asks: bool
    ) -> tuple[Tensor, dict[str, float]]:
        pixels = self.material.pixels(places)
        wanted_states, wanted = teacher_blocks(self.material.model, pixels)
        scaled = self.bottleneck.encoder(pixels) * self.bottleneck.gain(rates)
        stream_bytes = self.bottleneck.prior.bits(scaled + torch.rand_like(scaled) - 0.5, rates) / 8  # (B,)
        _, found = self.bottleneck.blocks(rounded(scaled), rates)
        salient = attention_saliency(self.material.model, wanted_states)
        weights = 1 - _SALIENT_SHARE + _SALIENT_SHARE * salient  # (B, N)
        errors = (relative(found, wanted, self.material.variance) * weights).mean(1)  # (B,)
        loss = (errors + rate_weights(rates) * stream_bytes).mean()
        shown = {"error": float(errors.detach().mean()), "bytes": float(stream_bytes.detach().mean())}
        if asks:
            divergence = self.material.divergence(rng, places, wanted, found)
            loss, shown["divergence"] = loss + _ANSWER_WEIGHT * divergence, float(divergence.detach())
        return loss, shown

    def stepped(self) -> None:
        """Nothing follows a step."""

    @torch.no_grad()
    def figures(self) -> str:
        """Bytes, error and answer tokens alike of held-out scenes at every rate."""
        return "  ".join(
            f"{rate}: {size:.0f} B error {error:.3f} alike {alike:.3f}"
            for rate, (size, error, alike) in enumerate(examined(self.bottleneck, self.material, 48))
        )


class StagedLesson(BottleneckLesson):
    """entropic-student's two stages: the tower's blocks behind the bottleneck stay as they are while what they make of
    it is held against what they made; then the device's encoder and the prior stay, and the rest learns the answers."""

    def _summed(
        self, rng: np.random.Generator, places: Any, rates: Tensor, asks: bool
    ) -> tuple[Tensor, dict[str, float]]:
        one = self.bottleneck
        for part in (one.tail, one.norm, one.connector):
            part.requires_grad_(asks)
        for part in (one.encoder, one.prior):
            part.requires_grad_(not asks)
        one.log_gain.requires_grad_(not asks)
        pixels = self.material.pixels(places)
        wanted_states, wanted = teacher_blocks(self.material.model, pixels)
        scaled = one.encoder(pixels) * one.gain(rates)
        states, found = one.blocks(rounded(scaled), rates)
        error = relative(found, wanted, self.material.variance).mean(1)  # (B,)
        if asks:
            divergence = self.material.divergence(rng, places, wanted, found)
            shown = {"error": float(error.detach().mean()), "divergence": float(divergence.detach())}
            return error.mean() + _ANSWER_WEIGHT * divergence, shown
        stream_bytes = one.prior.bits(scaled + torch.rand_like(scaled) - 0.5, rates) / 8
        pairs = zip(states, wanted_states, self.material.state_variances, strict=True)
        blocks = torch.stack([relative(*pair).mean(1) for pair in pairs]).mean(0)  # (B,)
        loss = ((error + blocks) / 2 + rate_weights(rates) * stream_bytes).mean()
        shown = {"error": float(error.detach().mean()), "blocks": float(blocks.detach().mean())}
        return loss, shown | {"bytes": float(stream_bytes.detach().mean())}


def rounded(scaled: Tensor) -> Tensor:
    """To the nearest whole number; gradients pass as if nothing had happened."""
    return scaled + (scaled.round() - scaled).detach()


def relative(found: Tensor, wanted: Tensor, variance: Tensor) -> Tensor:
    """(B, N) squared error of (B, N, D) values in variances (D,) of each channel, mean over channels."""
    return ((found - wanted).square() / variance).mean(-1)


def rate_weights(rates: Tensor) -> Tensor:
    """(B,) of rates (B,)."""
    return torch.tensor(RATE_WEIGHTS)[rates]


@torch.no_grad()
def examined(bottleneck: Bottleneck, material: Material, count: int) -> list[tuple[float, float, float]]:
    """For every rate: bytes of a photo by the prior, mean relative error, and the share of answer tokens that stay the
    first choice, of the first held-out scenes."""
    places = np.arange(min(count, material.held_out))
    pixels = material.pixels(places)
    _, wanted = teacher_blocks(material.model, pixels)
    batch = material.teacher.pack([material.asked(int(one), 0, _HELD_OUT_QUESTIONS) for one in places])
    first = material.teacher.logits(batch, wanted).argmax(-1)
    latents, made = bottleneck.encoder(pixels), []
    for rate in range(bottleneck.sizes.rates):
        rates = torch.full((len(places),), rate)
        scaled = (latents * bottleneck.gain(rates)).round()
        _, found = bottleneck.blocks(scaled, rates)
        alike = (material.teacher.logits(batch, found).argmax(-1) == first).float().mean()
        size = bottleneck.prior.bits(scaled, rates).mean() / 8
        made.append((float(size), float(relative(found, wanted, material.variance).mean()), float(alike)))
    return made
