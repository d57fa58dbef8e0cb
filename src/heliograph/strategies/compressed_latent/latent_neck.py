"""``latent-neck``: a learned picture codec's latents, led into the middle of the vision tower by a small neck.

::

    device: picture (3, S, S) --encoder.onnx of a codec made for pixels--> latents (C, P) --gains, rounded--> integers
        --frozen integer tables, range coder--> codeword
    cloud:  integers, rate --neck.onnx, one attention block--> states (P, W) behind the tower's block 2
        --the model's own tower from block 3 on, projector--> visual tokens (N, D)

After Kao et al. (arXiv 2407.19651), their variant d1: the codec was trained for pixels and bytes alone and knows no
model; tower and language model are unmodified; only the neck was trained, on what the tower makes of the picture.
Nothing is drawn in the cloud and no tower runs on the device. Different here: a codec of our own with a factorised
prior and six rates in one model in place of ELIC; the neck begins with the codec's linear picture, the tower's first
layer and a copy of its second block; the frozen language model's answers end the loss, for which the paper has class
names; and the neck knows the rate.
"""

from __future__ import annotations

from typing import ClassVar

from heliograph.strategies.base import Family
from heliograph.strategies.part_latents import NeckStrategy


class LatentNeckStrategy(NeckStrategy):
    """See :class:`heliograph.strategies.part_latents.BottleneckStrategy` for bytes and the knob."""

    name: ClassVar[str] = "latent-neck"
    paper: ClassVar[str | None] = "2407.19651"
    family: ClassVar[Family] = Family.COMPRESSED_LATENT
