"""``feature-adapt``: the same codec's latents as in ``latent-neck``, adapted by attention over channels alone.

::

    device: picture --encoder.onnx of a codec made for pixels--> latents --integers, range coder--> codeword
    cloud:  integers, rate --neck.onnx: convolutions, weighted by what the whole picture holds of each channel-->
        states (P, W) behind the tower's block 2 --the model's own tower from block 3 on, projector--> tokens (N, D)

After Deng and Karam (arXiv 2305.08000), of whom only the abstract could be read: latents of a frozen learned codec, a
light module that adapts features by channel attention, a network for pixels behind it. One row of the table, to be held
against ``latent-neck``, whose neck also looks from place to place. Different here: the module's shape is our own
(squeeze 16), and it is trained on every block of the frozen tower, then on answers; tower and codec stay as they are.
"""

from __future__ import annotations

from typing import ClassVar

from heliograph.strategies.base import Family
from heliograph.strategies.part_latents import NeckStrategy


class FeatureAdaptStrategy(NeckStrategy):
    """See :class:`heliograph.strategies.part_latents.BottleneckStrategy` for bytes and the knob."""

    name: ClassVar[str] = "feature-adapt"
    paper: ClassVar[str | None] = "2305.08000"
    family: ClassVar[Family] = Family.COMPRESSED_DOMAIN
