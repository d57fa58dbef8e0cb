"""Import time and peak memory of a device process of its own, so that nothing of the bench is counted."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import json, sys, time
started = time.perf_counter(); used = time.process_time()
import heliograph.edge
from heliograph.edge.client import DeviceClient
imported = time.perf_counter() - started; import_used = time.process_time() - used
from PIL import Image
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
device = Device(Bundle.load(__import__("pathlib").Path(sys.argv[1])))
photo = Image.effect_mandelbrot((512, 512), (-2, -1, 1, 1), 40).convert("RGB")
for strategy in ("klt", "jpeg"):
    device.encode(photo, strategy)
from heliograph.bench.device.process import peak_memory_mb
peak = peak_memory_mb()
print(json.dumps({"import_s": import_used, "peak_mb": peak, "torch": "torch" in sys.modules}))
"""


_ENCODING = """
import sys
from pathlib import Path
from PIL import Image
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
photo = Image.effect_mandelbrot((512, 512), (-2, -1, 1, 1), 40).convert("RGB")
Device(Bundle.load(Path(sys.argv[1]))).encode(photo, sys.argv[2], question="what is in the picture?")
from heliograph.bench.device.process import peak_memory_mb
print(peak_memory_mb())
"""


@dataclass(frozen=True)
class DeviceProcess:
    """What a device process needs.

    Attributes:
        import_s: processor seconds to import the device room and its client.
        peak_memory_mb: largest resident memory (MiB) after encoding a photo with ``klt`` and with ``jpeg``.
        torch: whether torch was imported, which must never be.
    """

    import_s: float
    peak_memory_mb: float
    torch: bool


def measure_device_process(bundle_folder: Path) -> DeviceProcess:
    """Starts a fresh interpreter three times and takes the quickest import and the largest memory."""
    found = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(bundle_folder)],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return DeviceProcess(
        min(f["import_s"] for f in found), max(f["peak_mb"] for f in found), any(f["torch"] for f in found)
    )


def encoding_memory_mb(bundle_folder: Path, strategy: str) -> float:
    """Largest resident memory (MiB) of a fresh device process that encodes one photo with a strategy, at its usual
    setting; programs that it starts are not counted."""
    done = subprocess.run(
        [sys.executable, "-c", _ENCODING, str(bundle_folder), strategy],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MiB.

    Linux hands ``ru_maxrss`` on from parent to child, so the kernel's own high-water mark is read there instead.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
