"""``frankensplit`` and ``entropic-student``: a device without a tower sends the latents of a light encoder.

::

    picture (3, S, S) --encoder.onnx, strided convolutions--> latents (C, P) --gains of the rate, rounded--> integers
        --frozen integer tables, range coder--> codeword
    cloud: integers (1, C, h, w), rate --decoder.onnx--> the tower's tokens (N, D)

The device makes a tenth of the tower's multiplications; what the tower would have made of the photo is made in the
cloud, of latents that were learned together with their cost in bits. One model has several rates: each scales the
channels by gains of its own before they are rounded, and has tables of its own.

``entropic-student`` is after Matsubara et al. (arXiv 2108.11898): first the blocks of the frozen tower behind the
bottleneck are distilled, block for block, with the rate; then device encoder and prior stay and the decoder learns the
answers. ``frankensplit`` is after Furutanpey et al. (arXiv 2302.10681): the target is what the tower gives out, each
token weighted by its saliency. Different here: separable convolutions without normalisation in place of GDN or Swin
blocks; the decoder begins with copies of the tower's last blocks; one model for all rates; saliency is the attention
that a token receives in the tower; rounding in the decoder's training; and both end with the frozen language model's
answers in the loss, for which the papers have class labels.
"""

from __future__ import annotations

from typing import ClassVar

from heliograph.strategies.base import Family
from heliograph.strategies.part_latents import BottleneckStrategy


class EntropicStudentStrategy(BottleneckStrategy):
    """See the module."""

    name: ClassVar[str] = "entropic-student"
    paper: ClassVar[str | None] = "2108.11898"
    family: ClassVar[Family] = Family.SPLIT


class FrankenSplitStrategy(BottleneckStrategy):
    """See the module."""

    name: ClassVar[str] = "frankensplit"
    paper: ClassVar[str | None] = "2302.10681"
    family: ClassVar[Family] = Family.SPLIT
