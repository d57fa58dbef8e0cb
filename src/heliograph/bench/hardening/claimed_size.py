"""What a header of eight bytes costs a general model's cloud when it claims a photo of 16384 x 16384 pixels.

``python -m heliograph.bench.hardening.claimed_size`` prints it: seconds to the named error, and growth of peak memory.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.bench.data import data_folder
from heliograph.bench.device.process import peak_memory_mb
from heliograph.bench.hardening.child import run_module
from heliograph.clock import now_s

if TYPE_CHECKING:
    from heliograph.serving.cloud import Cloud
    from heliograph.types import EncodedImage

CLAIMED_SIDE = 1 << 14
CLAIMED_HEADER_BYTES = 8
_FITTING_PHOTOS = 10


@dataclass(frozen=True)
class ClaimedSize:
    """What the claim cost.

    Attributes:
        error: name of the error it was answered with.
        seconds: until then.
        growth_mb: of the process's peak memory, MiB.
    """

    error: str
    seconds: float
    growth_mb: float


def measure_claimed_size() -> ClaimedSize:
    """Measure in a fresh process.

    Raises:
        DataMissingError: Qwen3-VL's processor files are not at hand.
    """
    data_folder("qwen3-vl-processor")
    return ClaimedSize(**run_module(__spec__.name))


def claim(cloud: Cloud) -> EncodedImage:
    """A stream of the cloud's ``klt`` codec that claims the largest photo and holds nothing else."""
    from dataclasses import replace

    from heliograph.codec.header import pack_header
    from heliograph.types import EncodedImage

    fitted = cloud.grid
    header = pack_header(replace(fitted, photo_width=CLAIMED_SIDE, photo_height=CLAIMED_SIDE), fitted)
    assert len(header) == CLAIMED_HEADER_BYTES
    return EncodedImage("klt", header, ())


def general_cloud(folder: Path) -> Cloud:
    """A cloud with a tiny Qwen3-VL and a ``klt`` codec fitted on a few pictures of the model's usual size."""
    from PIL import Image

    from heliograph.bench.tiny_checkpoint import build_tiny_qwen3_vl
    from heliograph.codec.fitting.fit import fit_klt
    from heliograph.serving.cloud import Cloud
    from heliograph.vlm.opening import open_model

    model = open_model(str(build_tiny_qwen3_vl(folder, data_folder("qwen3-vl-processor"))))
    pictures = [Image.effect_noise((640, 480), 20.0 * (number + 1)).convert("RGB") for number in range(_FITTING_PHOTOS)]
    codec = fit_klt([model.encode_image(picture) for picture in pictures], modes=("dct",), restore=False)
    return Cloud(model, {"klt": codec}, b"12345678")


def _main() -> None:
    from heliograph.question import Question
    from heliograph.serving.jobs import AnswerJob, Purpose

    with tempfile.TemporaryDirectory() as folder:
        cloud = general_cloud(Path(folder))
        job = AnswerJob(0, 0, Question("what is it?", max_answer_tokens=4), claim(cloud), None, None, Purpose.FINAL)
        before_mb, started_s = peak_memory_mb(), now_s()
        outcome = cloud.run(job)
        seconds, growth_mb = now_s() - started_s, peak_memory_mb() - before_mb
    error = outcome.error.name if outcome.error is not None else "none"
    print(json.dumps({"error": error, "seconds": seconds, "growth_mb": growth_mb}))


if __name__ == "__main__":
    _main()
