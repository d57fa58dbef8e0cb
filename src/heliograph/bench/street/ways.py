"""Every way of asking about the photos at every setting of its sweep, and which settings are worth the test photos.

Settings of all ways, ours and the pixel codecs', are chosen by the same rule on the same photos of ``street``: near
the frontier of agreement against bytes, and spread over the agreements that the figures are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image

from heliograph.bench.metrics import near_frontier
from heliograph.bench.street.agreement import Agreement
from heliograph.bench.street.asked import QUESTIONS
from heliograph.bench.street.judge import Judge, Kept, Measured
from heliograph.bench.street.plan import StreetPlan
from heliograph.bench.street.sent import FORMATS, Encoded, Sent, coded, encoded_by, own_tokens, pictured
from heliograph.codec.bundle import Bundle
from heliograph.codec.meta import MetaCodec
from heliograph.edge.device import Device
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting, label
from heliograph.strategies.latent_streams import LatentStrategy
from heliograph.training.field.packed import has_bfloat16
from heliograph.training.progress import Progress
from heliograph.types import FloatArray
from heliograph.vlm.contract import TorchModel

COARSEST, FINEST = 0.78, 0.98
"""Agreements between which settings are spread."""

Chosen = dict[str, list[Setting]]
"""Settings by codec or format."""


@dataclass(frozen=True)
class Shown:
    """Photos with what device and model make of them.

    Attributes:
        photos: in RGB.
        model, bundle: of the cloud and of the device.
    """

    photos: Sequence[Image.Image]
    model: TorchModel
    bundle: Bundle

    @cached_property
    def exact(self) -> FloatArray:
        """(I, N, D) float32 of the model's own tower: the uncompressed path."""
        return own_tokens(self.model, self.photos)

    @cached_property
    def encoded(self) -> Encoded:
        """What the device's encoder makes of them."""
        return encoded_by(Device(self.bundle), self.photos)

    def sent(self, name: str, setting: Setting, *, bare: bool = True) -> tuple[list[Sent], FloatArray]:
        """One codec of tokens or one format of pictures at a setting, and the tokens that come back."""
        if name in FORMATS:
            return pictured(name, setting, self.photos, self.model, bare=bare)
        one, tokens = coded(name, setting, self.photos, self.encoded, self.bundle)
        return [one], tokens


def swept(bundle: Bundle, plan: StreetPlan) -> Chosen:
    """All settings of every codec of the bundle and of every format."""
    found: Chosen = {}
    for kind, codec in bundle.codecs.items():
        most = codec.tables.latents.latents if isinstance(codec, MetaCodec) else None
        levels = plan.levels if most is None else sorted({min(one, most) for one in plan.latents})
        strategy: type[LatentStrategy] = STRATEGIES.load(kind)
        found[kind] = [{strategy.level_knob: level} for level in levels]
    for name in FORMATS:
        found[name] = [
            {"size": size, "quality": quality} for size in plan.pixel_sizes for quality in plan.pixel_qualities
        ]
    return found


def tuned(shown: Shown, judge: Judge, plan: StreetPlan, kept: Kept, progress: Progress) -> Chosen:
    """The settings of each codec and format for the test photos; the finest that there is is always among them, for
    photos that are harder than those for tuning.

    Answers are made in bfloat16 where the processor has it: nothing here is reported.

    Args:
        shown: the tuning photos.
        judge: of their answers.
        plan: what is swept, and how many settings are kept beside the finest.
        kept: what is done already.
        progress: shows it.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
        agreement = Agreement(judge.of(shown.exact)[0], QUESTIONS, shown.model.name)
    chosen: Chosen = {}
    for name, settings in swept(shown.bundle, plan).items():
        points = []
        for setting in progress.over(settings, f"tuning {name}"):

            def made(name: str = name, setting: Setting = setting) -> list[Measured]:
                sent, tokens = shown.sent(name, setting, bare=False)
                with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
                    answers, captions = judge.of(tokens)
                return [Measured(one, answers, captions) for one in sent]

            ways = kept.get(f"{name} {label(setting)}", made)
            cheapest = min(float(one.sent.payload.mean()) for one in ways)
            points.append((cheapest, agreement.balanced(ways[0].answers).value))
        frontier = near_frontier(points)
        places = [frontier[place] for place in spread_over([points[place][1] for place in frontier], plan.settings)]
        chosen[name] = [settings[place] for place in sorted({*places, len(settings) - 1})]
    return chosen


def spread_over(agreements: Sequence[float], count: int) -> list[int]:
    """Places of so many settings, in order: for each of evenly spaced agreements the nearest that is not taken."""
    left = list(range(len(agreements)))
    taken: list[int] = []
    for number in range(min(count, len(left))):
        wanted = COARSEST + (FINEST - COARSEST) * number / max(count - 1, 1)
        nearest = min(left, key=lambda place: abs(agreements[place] - wanted))
        left.remove(nearest)
        taken.append(nearest)
    return sorted(taken)
