"""Threads for models whose operators are too small to be shared out: there threads mostly wait for each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

from heliograph.vlm.contract import TorchModel

_MAX_PARAMETERS = 50_000_000
"""Of a model that is quicker on one thread: its widest products are done before a second thread has woken up."""


@contextlib.contextmanager
def threads_for(model: TorchModel) -> Iterator[None]:
    """One thread for PyTorch and for NumPy's linear algebra where the model is small; else as many as there were."""
    if sum(parameter.numel() for parameter in model.torch_model.parameters()) > _MAX_PARAMETERS:
        yield
        return
    before = torch.get_num_threads()
    try:
        with threadpool_limits(limits=1):
            torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(before)
