"""What leads a frozen codec's latents into a frozen tower behind its first two blocks, and how it learns to.

::

    integers over the gain (B, C, h, w) --widen, places, rate--> (B, P, W)
        --latent-neck:   one attention block, first a copy of the tower's second--> states behind block 2
        --feature-adapt: convolutions and attention over channels ------------------> states behind block 2
        --the tower's own blocks from the third on, projector--> tokens (B, N, D)
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.errors import ModelUnsupportedError
from heliograph.strategies.part_latents import ENTERED_BEHIND
from heliograph.training.bottleneck.lessons import LossFigures, Material, relative
from heliograph.training.bottleneck.network import STRIDE, teacher_blocks
from heliograph.training.latent_neck.codec import PictureCodec

_ANSWER_WEIGHT = 2.0
_SQUEEZE = 16
_SLOW_SHARE = 0.3  # of the learning rate, for what was copied
_HELD_OUT_QUESTIONS = 8


class Entry(nn.Module):
    """Latents (B, C, h, w) at rates (B,) to states (B, h * w, W) as embedded patches are: with the codec's own picture
    and the tower's first layer at first, both linear.

    Args:
        codec: whose latents come.
        tower: the vision model, with patches of 16 pixels.

    Raises:
        ModelUnsupportedError: the tower has other patches, or too few blocks.
    """

    def __init__(self, codec: PictureCodec, tower: Any) -> None:
        super().__init__()
        if tower.config.patch_size != STRIDE or len(tower.encoder.layers) <= ENTERED_BEHIND:
            raise ModelUnsupportedError().noted(
                f"latents enter a tower with patches of {STRIDE} pixels, behind its block {ENTERED_BEHIND}."
            )
        first, width = tower.embeddings.patch_embedding, tower.config.hidden_size
        self.widen = nn.Conv2d(codec.sizes.latents, width, 1)
        self.places = nn.Parameter(tower.embeddings.position_embedding.weight.detach().clone())  # (h * w, W)
        self.rate = nn.Parameter(torch.zeros(codec.sizes.rates, width))
        patches, picture = first.weight.detach().flatten(1), codec.picture.straight  # (W, 768), (768, C, 1, 1)
        with torch.no_grad():
            self.widen.weight.copy_((patches @ picture.weight.flatten(1))[..., None, None])
            self.widen.bias.copy_(patches @ picture.bias + first.bias)  # type: ignore[union-attr]

    def forward(self, latents: Tensor, rates: Tensor) -> Tensor:
        """See the class."""
        states: Tensor = self.widen(latents).flatten(2).transpose(1, 2) + self.places + self.rate[rates][:, None]
        return states


class Neck(nn.Module):
    """``latent-neck``'s: an attention block behind the entry."""

    block_wise: ClassVar[bool] = False
    """Whether states of the tower's blocks count to the end, and not only before answers do."""

    def __init__(self, codec: PictureCodec, tower: Any) -> None:
        super().__init__()
        self.entry = Entry(codec, tower)
        self.block = copy.deepcopy(tower.encoder.layers[ENTERED_BEHIND - 1]).requires_grad_(True)

    def forward(self, latents: Tensor, rates: Tensor) -> Tensor:
        """Latents over their gain (B, C, h, w) at rates (B,) to states (B, P, W)."""
        states: Tensor = self.block(self.entry(latents, rates), None)
        return states

    def copied(self) -> list[nn.Parameter]:
        """What learns slowly."""
        return [*self.entry.widen.parameters(), self.entry.places, *self.block.parameters()]


class Adapter(nn.Module):
    """``feature-adapt``'s: neighbours by a depthwise convolution, channels by what the whole picture holds of them.

    No attention between places; it adds nothing at first.
    """

    block_wise: ClassVar[bool] = True

    def __init__(self, codec: PictureCodec, tower: Any) -> None:
        super().__init__()
        self.entry = Entry(codec, tower)
        width = tower.config.hidden_size
        self.side = int(len(self.entry.places) ** 0.5)
        self.spread = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(2 * width, width, 1)
        self.squeeze, self.excite = nn.Linear(width, width // _SQUEEZE), nn.Linear(width // _SQUEEZE, width)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, latents: Tensor, rates: Tensor) -> Tensor:
        """Latents over their gain (B, C, h, w) at rates (B,) to states (B, P, W)."""
        states = self.entry(latents, rates)  # (B, P, W)
        x = states.transpose(1, 2).unflatten(2, (self.side, self.side))  # (B, W, h, w)
        x = self.out(functional.hardswish(self.mix(self.spread(x))))
        weights = torch.sigmoid(self.excite(functional.relu(self.squeeze(x.mean((2, 3))))))  # (B, W)
        adapted: Tensor = states + (x * weights[..., None, None]).flatten(2).transpose(1, 2)
        return adapted

    def copied(self) -> list[nn.Parameter]:
        """What learns slowly."""
        return [*self.entry.widen.parameters(), self.entry.places]


class NeckLesson:
    """Errors of the states that the tower's own blocks make, of its tokens, then answers; codec and tower are frozen.

    Args:
        neck: to train.
        codec: frozen.
        material: scenes and the frozen model.
        batch: photos a step; with questions half as many.
        first_asks: share of the run before answers count.
    """

    def __init__(
        self, neck: Neck | Adapter, codec: PictureCodec, material: Material, batch: int = 24, first_asks: float = 0.5
    ) -> None:
        self.module: nn.Module = neck
        self.neck, self.codec, self.material = neck, codec.requires_grad_(False), material
        self._batch, self.first_asks = batch, first_asks

    def groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate; what was copied goes slowly."""
        slow = self.neck.copied()
        known = {id(parameter) for parameter in slow}
        fast = [parameter for parameter in self.neck.parameters() if id(parameter) not in known]
        return [
            {"params": some, "share": share, "weight_decay": 0.0} for some, share in ((fast, 1.0), (slow, _SLOW_SHARE))
        ]

    def loss(self, rng: np.random.Generator, *, asks: bool) -> LossFigures:
        """The loss of one batch, with figures to report."""
        places = self.material.draw(rng, self._batch // 2 if asks else self._batch)
        rates = torch.from_numpy(rng.integers(self.codec.sizes.rates, size=len(places)))
        pixels = self.material.pixels(places)
        wanted_states, wanted = teacher_blocks(self.material.model, pixels)
        states, found = tower_behind(self.material.model, self.neck(restored_latents(self.codec, pixels, rates), rates))
        pairs = zip(states, wanted_states[ENTERED_BEHIND:], self.material.state_variances[ENTERED_BEHIND:], strict=True)
        blocks = torch.stack([relative(*pair).mean() for pair in pairs]).mean()
        error = relative(found, wanted, self.material.variance).mean()
        loss, shown = error + blocks, {"error": float(error.detach()), "blocks": float(blocks.detach())}
        if asks:
            divergence = self.material.divergence(rng, places, wanted, found)
            states_error = blocks if self.neck.block_wise else torch.zeros(())
            loss, shown["divergence"] = error + states_error + _ANSWER_WEIGHT * divergence, float(divergence.detach())
        return loss, shown

    def stepped(self) -> None:
        """Nothing follows a step."""

    def figures(self) -> str:
        """Errors and answer tokens alike of held-out scenes at every rate."""
        found = examined_neck(self.neck, self.codec, self.material, 48)
        return "  ".join(f"{rate}: error {error:.3f} alike {alike:.3f}" for rate, (error, alike) in enumerate(found))


@torch.no_grad()
def restored_latents(codec: PictureCodec, pixels: Tensor, rates: Tensor) -> Tensor:
    """(B, C, h, w) rounded latents over their gain, of pixels (B, 3, S, S) at rates (B,)."""
    gain = codec.gain(rates)
    latents: Tensor = (codec.encoder(pixels) * gain).round() / gain
    return latents


def tower_behind(model: Any, hidden: Tensor) -> tuple[list[Tensor], Tensor]:
    """States where it is entered and behind each later block, (B, P, W) each, and tokens (B, N, D), by the tower.

    Args:
        model: the Idefics3 model.
        hidden: (B, P, W) behind :data:`~heliograph.strategies.part_latents.ENTERED_BEHIND` blocks.
    """
    tower, states = model.model.vision_model, [hidden]
    for block in tower.encoder.layers[ENTERED_BEHIND:]:
        hidden = block(hidden, None)
        states.append(hidden)
    tokens: Tensor = model.model.connector(tower.post_layernorm(hidden))
    return states, tokens


@torch.no_grad()
def examined_neck(
    neck: Neck | Adapter | None, codec: PictureCodec, material: Material, count: int
) -> list[tuple[float, float]]:
    """For every rate: mean relative error of tokens, and the share of answer tokens that stay the first choice, of the
    first held-out scenes; without a neck those of the codec's own pictures in front of the whole tower."""
    places = np.arange(min(count, material.held_out))
    pixels = material.pixels(places)
    _, wanted = teacher_blocks(material.model, pixels)
    batch = material.teacher.pack([material.asked(int(one), 0, _HELD_OUT_QUESTIONS) for one in places])
    first, made = material.teacher.logits(batch, wanted).argmax(-1), []
    for rate in range(codec.sizes.rates):
        rates = torch.full((len(places),), rate)
        latents = restored_latents(codec, pixels, rates)
        if neck is None:
            found = teacher_blocks(material.model, (codec.picture(latents).clamp(-1, 1) + 1) * 127.5)[1]
        else:
            found = tower_behind(material.model, neck(latents, rates))[1]
        alike = (material.teacher.logits(batch, found).argmax(-1) == first).float().mean()
        made.append((float(relative(found, wanted, material.variance).mean()), float(alike)))
    return made
