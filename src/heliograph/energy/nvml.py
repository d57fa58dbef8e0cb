"""Joules of NVIDIA graphics cards, from the total energy counter that NVML reads (Volta and later).

Through ``pynvml`` of the package ``nvidia-ml-py`` (extra ``gpu``), NVIDIA's own bindings. The counter counts
millijoules since the driver was loaded, of the whole card, whoever uses it.
"""

from __future__ import annotations

from typing import Any

from heliograph.clock import now_s
from heliograph.energy.joules import GPU, Measured
from heliograph.errors import MissingExtraError

_MILLI = 1e-3


class NvmlMeter:
    """The energy counters of this machine's graphics cards.

    Args:
        nvml: the module ``pynvml``; None imports it.

    Attributes:
        cards: how many cards count; 0 where there is no driver, no card, or none that counts.

    Raises:
        MissingExtraError: the module is not installed.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = _module() if nvml is None else nvml
        self._handles: list[Any] = []
        try:
            self._nvml.nvmlInit()
            handles = map(self._nvml.nvmlDeviceGetHandleByIndex, range(self._nvml.nvmlDeviceGetCount()))
            self._handles = [handle for handle in handles if self._counts(handle)]
        except self._nvml.NVMLError:
            pass  # no driver, or no card
        self.cards = len(self._handles)
        self._since_s = now_s()
        self._last = self._readings()

    @property
    def domains(self) -> frozenset[str]:
        """What is counted; empty where no card counts."""
        return frozenset((GPU,)) if self.cards else frozenset()

    def read(self) -> dict[str, Measured]:
        """Joules of all cards since the last reading; empty where no card counts, or one has stopped to."""
        now, readings = now_s(), self._readings()
        seconds, self._since_s = now - self._since_s, now
        used = [after - before for before, after in zip(self._last, readings, strict=False)]
        self._last = readings
        if not used or min(used) < 0:  # a driver that was loaded anew begins at 0
            return {}
        return {GPU: Measured(_MILLI * sum(used), frozenset((GPU,)), seconds)}

    def _counts(self, handle: Any) -> bool:
        try:
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except self._nvml.NVMLError:  # a card older than Volta
            return False
        return True

    def _readings(self) -> list[int]:
        try:
            return [int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) for handle in self._handles]
        except self._nvml.NVMLError:
            return []


def _module() -> Any:
    try:
        import pynvml
    except ModuleNotFoundError as error:
        raise MissingExtraError("gpu") from error
    return pynvml
