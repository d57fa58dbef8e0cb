"""Where the codec is trained: one processor, one GPU or several, as Hugging Face Accelerate sees them.

::

    heliograph fit ...                      one process: the GPU where there is one, else the CPU
    accelerate launch -m heliograph fit ... as many as it is asked to start; the first one writes and reports
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from heliograph.errors import MissingExtraError

if TYPE_CHECKING:
    from accelerate import Accelerator

_PATIENCE = timedelta(days=7)  # the first process encodes and answers alone while the others wait


def open_accelerator(*, cpu: bool = False) -> Accelerator:
    """This process's devices: bfloat16 products on a GPU that has them, plain float32 on a CPU.

    Args:
        cpu: leave GPUs alone.

    Raises:
        MissingExtraError: Accelerate is not installed.
    """
    try:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    except ImportError as error:
        raise MissingExtraError("train") from error
    cpu = cpu or not torch.cuda.is_available()
    precision = "no" if cpu or not torch.cuda.is_bf16_supported() else "bf16"
    waits = InitProcessGroupKwargs(timeout=_PATIENCE)
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[waits])


def of_the_first(accelerator: Accelerator, value: float) -> float:
    """A number as the first process has it; the others wait for it. Clocks differ, decisions must not."""
    if accelerator.num_processes == 1:
        return value
    from accelerate.utils import broadcast

    shared = torch.tensor([value], dtype=torch.float64, device=accelerator.device)
    return float(broadcast(shared, from_process=0)[0])
