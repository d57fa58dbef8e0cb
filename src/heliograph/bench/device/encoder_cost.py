"""``python -m heliograph.bench.device.encoder_cost OUT.json``: what SmolVLM-256M's vision encoder costs a device.

::

    random weights --eager torch, float32--> tokens
          '--trace--> float32.onnx --fuse--> fused.onnx --quantise--> int8.onnx --> latency, bytes, memory, token error
    photo --decode--> --preprocess--> --int8.onnx--> --klt: transform--> --klt: bit planes, entropy coder--> stream

The shapes are SmolVLM-256M's (512 x 512 pixels, 1,024 patches, 86 M parameters, 64 tokens of 576), the photos real,
the weights random: latency, bytes and memory hold for any weights, token errors do not. Contestants run in turn, so
that what else the machine does meets all of them, and the quickest run counts; one thread is also timed in processor
seconds. With ``--vlm`` and ``--codec``, a checkpoint of those shapes and what ``heliograph fit`` made for it take the
places of the random weights and of a codec fitted on a few of the photos.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from transformers import Idefics3Config, Idefics3ForConditionalGeneration

from heliograph.bench.data import data_folder
from heliograph.bench.timing import processor_s
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.onnx_session import open_session
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import DataMissingError, HeliographError, OutputUnwritableError
from heliograph.training.export.onnx_fusion import fuse
from heliograph.training.export.onnx_graphs import export_encoder
from heliograph.training.export.onnx_quantise import LEVELS, quantise_encoder, token_error
from heliograph.training.progress import Progress
from heliograph.types import FloatArray, Grid, VisualTokens
from heliograph.vlm.checkpoint.loading import load_pretrained
from heliograph.vlm.square_encoder import SquareEncoder

SIDE, GRID = 512, Grid(8, 8)
PREPROCESSOR = Preprocessor(SIDE, SIDE, int(Image.Resampling.LANCZOS), 1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
EAGER, FLOAT32, FUSED, INT8 = "eager torch float32", "ONNX float32", "ONNX float32, fused", "ONNX int8"
_FILES = {FLOAT32: "float32.onnx", FUSED: "fused.onnx", INT8: "int8.onnx"}
_THREADS = (1, 2)
_MB = 1e6
_TOWER = "tower and projector"
_WIDTH = 120  # of the tables, in characters
_PHOTO_FILES = frozenset({".jpg", ".jpeg", ".png"})

_PROGRAM = """
import sys
from pathlib import Path
from PIL import Image
from heliograph.bench.device.process import peak_memory_mb
from heliograph.edge.encoder import TokenEncoder
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.types import Grid
half = (0.5, 0.5, 0.5)
pixels = Preprocessor(512, 512, 1, 1 / 255, half, half)(Image.open(sys.argv[2]))
TokenEncoder(Path(sys.argv[1]), Grid(8, 8), 576)(pixels)
assert "torch" not in sys.modules
print(peak_memory_mb())
"""


@dataclass(frozen=True)
class Latency:
    """Latencies of one contestant with one number of threads.

    Attributes:
        name, threads: which.
        quickest_ms, median_ms: wall time.
        processor_ms: quickest run in processor time; None with several threads, which burn it while they wait.
        speed_up: eager torch's time over this one, in processor time where there is one, else of the quickest runs.
    """

    name: str
    threads: int
    quickest_ms: float
    median_ms: float
    processor_ms: float | None
    speed_up: float


def build_model(seed: int) -> Any:
    """SmolVLM-256M's vision encoder and projector with random weights; of the language model next to nothing."""
    torch.manual_seed(seed)
    vision = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "image_size": SIDE,
        "patch_size": 16,
    }
    text = {
        "model_type": "llama",
        "hidden_size": 576,
        "num_hidden_layers": 1,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 64,
        "vocab_size": 300,
        "pad_token_id": 0,
    }
    config = Idefics3Config(vision_config=vision, text_config=text, scale_factor=4, image_token_id=299)
    config._attn_implementation = "sdpa"  # what torch runs quickest
    return Idefics3ForConditionalGeneration(config).eval()


def photo_files(count: int) -> list[Path]:
    """The first photos of ``textvqa-dev`` by name.

    Raises:
        DataMissingError: not so many there.
    """
    files = sorted(p for p in (data_folder("textvqa-dev") / "photos").iterdir() if p.suffix.lower() in _PHOTO_FILES)
    if len(files) < count:
        raise DataMissingError().noted(
            f"{data_folder('textvqa-dev') / 'photos'}: {len(files)} photos are there, and {count} are needed."
        )
    return files[:count]


# ---- latency ---------------------------------------------------------------------------------------
def measure_latencies(model: Any, folder: Path, pixels: FloatArray, rounds: int, progress: Progress) -> list[Latency]:
    """Every contestant in turn, ``rounds`` times after one that does not count."""
    found: list[Latency] = []
    for threads in _THREADS:
        torch.set_num_threads(threads)
        runs = {EAGER: _eager(model, pixels)}
        for name, file in _FILES.items():
            runs[name] = _onnx(folder / file, pixels, threads)
        wall: dict[str, list[float]] = {name: [] for name in runs}
        used: dict[str, list[float]] = {name: [] for name in runs}
        for number in progress.over(range(rounds + 1), f"latency, {threads} thread{'s' * (threads > 1)}"):
            for name, run in runs.items():
                began, used_before = time.perf_counter(), processor_s()
                run()
                if number:
                    used[name].append(processor_s() - used_before)
                    wall[name].append(time.perf_counter() - began)
        found += _latencies(threads, wall, used)
    return found


def _eager(model: Any, pixels: FloatArray) -> Callable[[], Any]:
    graph, given = SquareEncoder(model).eval(), torch.from_numpy(pixels)

    def run() -> Any:
        with torch.inference_mode():
            return graph(given)

    return run


def _onnx(path: Path, pixels: FloatArray, threads: int) -> Callable[[], Any]:
    session = open_session(path, threads)
    return lambda: session.run(None, {"pixel_values": pixels})[0]


def _latencies(threads: int, wall: Mapping[str, list[float]], used: Mapping[str, list[float]]) -> list[Latency]:
    chosen = used if threads == 1 else wall
    return [
        Latency(
            name,
            threads,
            1e3 * min(wall[name]),
            1e3 * median(wall[name]),
            1e3 * min(used[name]) if threads == 1 else None,
            min(chosen[EAGER]) / min(chosen[name]),
        )
        for name in wall
    ]


# ---- memory ----------------------------------------------------------------------------------------
def peak_memory_mb(encoder: Path, photo: Path) -> float:
    """Largest resident memory (MiB) of a fresh process without torch that preprocesses and encodes one photo."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(encoder), str(photo)],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return float(done.stdout)


# ---- where the time goes ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Stages:
    """Processor milliseconds per photo and stage, and payload bytes of the whole stream; medians."""

    stages_ms: dict[str, float]
    stream_bytes: float


def measure_stages(encoder: Path, files: Sequence[Path], codec: KltCodec | None, progress: Progress) -> Stages:
    """One thread, medians over the last third of the photos.

    Without a codec, ``klt`` is fitted on the first two thirds. The whole stream is made, which is the slowest case.
    """
    session = open_session(encoder)
    spent: list[dict[str, float]] = []
    sets: list[VisualTokens] = []
    for file in progress.over(files, "stages"):
        clock = _Clock()
        photo = Image.open(file).convert("RGB")
        clock.lap("decoding the photo")
        pixels = PREPROCESSOR(photo)
        clock.lap("preprocessing")
        made = session.run(None, {"pixel_values": pixels})[0]
        clock.lap(_TOWER)
        sets.append(VisualTokens(np.ascontiguousarray(made[0], np.float32), GRID))
        spent.append(clock.laps)
    fitting = 2 * len(sets) // 3
    if codec is None:
        progress.say("fitting klt")
        codec = fit_klt(sets[:fitting])
    streams = []
    for tokens, laps in zip(sets[fitting:], spent[fitting:], strict=True):
        clock = _Clock()
        coefficients = codec.transform.analyse(tokens.values, tokens.grid, True)
        clock.lap("codec: transform")
        streams.append(len(codec.encode_coefficients(coefficients, tokens.grid).data))
        clock.lap("codec: bit planes and entropy coder")
        laps |= clock.laps
    stages = {stage: 1e3 * median(laps[stage] for laps in spent[fitting:]) for stage in spent[-1]}
    return Stages(stages, median(streams))


class _Clock:
    """Processor seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = processor_s()

    def lap(self, name: str) -> None:
        now = processor_s()
        self.laps[name], self._last = now - self._last, now


# ---- all of it -------------------------------------------------------------------------------------
def measure(
    model: Any, codec: KltCodec | None, photos: int, rounds: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Everything, as JSON values; see the module."""
    files = photo_files(photos)
    with tempfile.TemporaryDirectory() as scratch, progress:
        folder = Path(scratch)
        paths = {name: folder / file for name, file in _FILES.items()}
        progress.say("tracing")
        export_encoder(model, paths[FLOAT32], SIDE)
        fuse(paths[FLOAT32], paths[FUSED])
        pixels = [PREPROCESSOR(Image.open(file)) for file in files]
        progress.say("quantising")
        made = quantise_encoder(paths[FLOAT32], paths[INT8], pixels[:8], levels=LEVELS, progress=progress.say)
        errors = _errors(model, paths, pixels[-4:])
        latencies = measure_latencies(model, folder, pixels[0], rounds, progress)
        memory = {name: peak_memory_mb(path, files[0]) for name, path in paths.items()}
        stages = measure_stages(paths[INT8], files, codec, progress)
        sizes = {name: path.stat().st_size for name, path in paths.items()}
    return {
        "machine": _machine(),
        "photos": photos,
        "rounds": rounds,
        "seed": seed,
        "parameters": sum(p.numel() for part in ("vision_model", "connector") for p in _part(model, part).parameters()),
        "quantised": asdict(made),
        "token_errors": errors,
        "latencies": [asdict(latency) for latency in latencies],
        "file_bytes": sizes,
        "peak_memory_mb": memory,
        "codec": "fitted on a few of the photos" if codec is None else "given",
        **asdict(stages),
    }


def _part(model: Any, name: str) -> Any:
    return getattr(model.model, name)


def _errors(model: Any, paths: Mapping[str, Path], pixels: Sequence[FloatArray]) -> dict[str, tuple[float, float]]:
    """Mean and largest relative token error of each graph against eager torch, on photos that quantising never saw."""
    expected = [_eager(model, one)().numpy() for one in pixels]
    return {name: token_error(expected, [_onnx(path, one, 1)() for one in pixels]) for name, path in paths.items()}


def _machine() -> dict[str, Any]:
    found = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    return {
        "processor": found or platform.processor(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The tables."""
    table = Table(
        "encoder", "threads", "quickest ms", "median ms", "processor ms", "speed-up", "MB", "peak MiB", "error"
    )
    for row in facts["latencies"]:
        name, used = row["name"], row["processor_ms"]
        graph = name in facts["file_bytes"]
        table.add_row(
            name,
            str(row["threads"]),
            f"{row['quickest_ms']:.0f}",
            f"{row['median_ms']:.0f}",
            "" if used is None else f"{used:.0f}",
            f"{row['speed_up']:.2f}",
            f"{facts['file_bytes'][name] / _MB:.1f}" if graph else "",
            f"{facts['peak_memory_mb'][name]:.0f}" if graph else "",
            f"{facts['token_errors'][name][0]:.2%}" if graph else "",
        )
    console.print(table)
    console.print(f"int8 method: {facts['quantised']['method']}")
    stages = Table("stage, one thread", "processor ms", "share")
    whole = sum(facts["stages_ms"].values())
    for stage, spent in facts["stages_ms"].items():
        stages.add_row(stage, f"{spent:.1f}", f"{spent / whole:.1%}")
    console.print(stages)
    coding = sum(spent for stage, spent in facts["stages_ms"].items() if stage.startswith("codec"))
    share = coding / facts["stages_ms"][_TOWER]
    console.print(f"codec ({facts['codec']}): {share:.1%} of the tower's time for {facts['stream_bytes']:.0f} bytes")


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=int, default=24, help="at least 16")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vlm", help="a checkpoint of SmolVLM-256M's shapes, with --codec")
    parser.add_argument("--codec", type=Path, help="folder of a klt codec fitted on it")
    arguments = parser.parse_args()
    if (arguments.vlm is None) != (arguments.codec is None):
        parser.error("--vlm and --codec go together")
    try:
        model = build_model(arguments.seed) if arguments.vlm is None else load_pretrained(arguments.vlm)[0]
        codec = None if arguments.codec is None else KltCodec.load(arguments.codec)
        facts = measure(model, codec, max(arguments.photos, 16), arguments.rounds, arguments.seed, Progress())
        try:
            arguments.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputUnwritableError from error
    except HeliographError as error:
        print(error.text, file=sys.stderr)
        return 2
    show(facts, Console(width=_WIDTH))
    return 0


if __name__ == "__main__":
    sys.exit(main())
