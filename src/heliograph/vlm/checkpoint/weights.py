"""A checkpoint's weights, looked at once when it is opened: numbers, and of a size that the model's arithmetic bears.

One damaged weight need not show in an answer. A norm whose sum of squares overflows gives zeros, and the photo is gone;
a last norm that is far too large makes the model certain of any word. Every answer of such a model is an error then,
while the server stays up and says so; models load as ever, since what is damaged may be a part that is used for nothing
but answers.
"""

from __future__ import annotations

import logging
from itertools import chain
from typing import Any

import torch

from heliograph.errors import AnsweringFailedError
from heliograph.types import LARGEST_WEIGHT

_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

log = logging.getLogger("heliograph.vlm")


class WeightCheck:
    """What was found when the model was opened.

    Args:
        model: with all weights in place.
    """

    def __init__(self, model: Any) -> None:
        self.bad = first_bad_weight(model)
        if self.bad is not None:
            log.warning(
                "the weight %s is not finite, or %d and more in size: every question will fail; reload the model",
                self.bad,
                LARGEST_WEIGHT,
            )

    def require(self) -> None:
        """Raise unless all is well.

        Raises:
            AnsweringFailedError: a weight is damaged.
        """
        if self.bad is not None:
            raise AnsweringFailedError().noted(f"Weight {self.bad} is damaged; download its files again.")


@torch.inference_mode()
def first_bad_weight(model: Any) -> str | None:
    """Name of the first weight with a value that is not finite, or 2**20 and more in size; None without any.

    It reads every weight that checkpoints store once: little beside loading them. Weights in eight bits are left out.
    """
    ends: dict[torch.device, list[torch.Tensor]] = {}
    names: dict[torch.device, list[str]] = {}
    stored = model.state_dict().keys()
    for name, weight in chain(model.named_parameters(), model.named_buffers()):
        if name in stored and weight.dtype in _FLOATS and weight.numel() and not weight.is_meta:
            ends.setdefault(weight.device, []).append(torch.stack(weight.aminmax()).float())
            names.setdefault(weight.device, []).append(name)
    for device, found in ends.items():  # one transfer for a device
        fits = (torch.stack(found).abs() < LARGEST_WEIGHT).all(dim=1).tolist()  # NaN compares false
        for name, fit in zip(names[device], fits, strict=True):
            if not fit:
                return name
    return None
