"""MobileNetV2 (ImageNet, uint8 TFLite) split after its last bottleneck: real features of real photos for a codec.

::

    photo --prepare_pixels--> (224, 224, 3) u8 --head (LiteRT)--> features (49, 320) f32, a 7 x 7 grid
        --codec--> restored (49, 320) --tail (numpy)--> logits (1001,)

The head is the unmodified network; its last bottleneck's output is read from the interpreter. The tail (1x1
convolution to 1280 with ReLU6, average pool, classifier) is computed from the dequantised weights of the same file,
rounding each activation to the file's own uint8 grid, as the unsplit network does.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.data import data_folder
from heliograph.errors import DataMissingError, MissingExtraError
from heliograph.types import FloatArray, Grid, VisualTokens

INPUT_SIZE = 224
GRID = Grid(rows=7, columns=7)
CHANNELS = 320
FIT_PHOTOS = 200
TUNING_EVERY = 5
"""Each fifth fitting photo, of all 200 forty, is for choosing settings."""
MODEL_FILE = "mobilenet_v2_1.0_224_quant.tflite"

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Activation:
    """One quantised tensor's grid: value = scale * (code - zero), code in 0..255."""

    scale: float
    zero: int

    def rounded(self, values: FloatArray) -> FloatArray:
        """``values`` (any shape, f32) moved to the nearest representable value."""
        codes = np.clip(np.rint(values / self.scale) + self.zero, 0, 255)
        return np.asarray((codes - self.zero) * self.scale, dtype=np.float32)


@dataclass(frozen=True)
class Tail:
    """What follows the split, in float32.

    Attributes:
        expand, expand_bias: (1280, 320) and (1280,), the 1x1 convolution before ReLU6.
        classify, classify_bias: (1001, 1280) and (1001,).
        hidden_grid, logit_grid: the uint8 grids of the ReLU6 output (and its pool) and of the logits.
    """

    expand: FloatArray
    expand_bias: FloatArray
    classify: FloatArray
    classify_bias: FloatArray
    hidden_grid: Activation
    logit_grid: Activation

    def hidden(self, features: FloatArray) -> FloatArray:
        """(..., 49, 320) features to (..., 49, 1280) before ReLU6."""
        return np.asarray(features @ self.expand.T + self.expand_bias, dtype=np.float32)

    def logits(self, features: FloatArray, *, as_stored: bool = True) -> FloatArray:
        """(..., 49, 320) features to (..., 1001) logits; ``as_stored`` rounds activations as the uint8 file does."""
        active = np.clip(self.hidden(features), 0.0, 6.0)
        if as_stored:
            active = self.hidden_grid.rounded(active)
        pooled = active.mean(axis=-2, dtype=np.float32)
        if as_stored:
            pooled = self.hidden_grid.rounded(pooled)
        found = np.asarray(pooled @ self.classify.T + self.classify_bias, dtype=np.float32)
        return self.logit_grid.rounded(found) if as_stored else found

    def top1(self, features: FloatArray) -> int:
        """The class of one photo's features (49, 320); equal to the unsplit network's on its own features."""
        return int(np.argmax(self.logits(features)))


class SplitNetwork:
    """The whole network and its tail.

    Args:
        model_path: the TFLite file; by default the one of the data folder ``mobilenet-v2``.

    Raises:
        DataMissingError: the file is not there.
        MissingExtraError: ``ai_edge_litert`` is not installed.
    """

    def __init__(self, model_path: Path | None = None) -> None:
        path = model_path if model_path is not None else data_folder("mobilenet-v2") / MODEL_FILE
        if not path.is_file():
            raise DataMissingError().noted(f"{path} is not there: put the MobileNetV2 network in its place.")
        self._interpreter = _open_interpreter(path)
        by_shape = {tuple(int(n) for n in d["shape"]): d for d in self._interpreter.get_tensor_details() if d["name"]}
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._feature = by_shape[(1, GRID.rows, GRID.columns, CHANNELS)]
        self._logit = by_shape[(1, 1, 1, 1001)]
        self.tail = Tail(
            expand=self._read(by_shape[(1280, 1, 1, CHANNELS)]).reshape(1280, CHANNELS),
            expand_bias=self._read(by_shape[(1280,)]),
            classify=self._read(by_shape[(1001, 1, 1, 1280)]).reshape(1001, 1280),
            classify_bias=self._read(by_shape[(1001,)]),
            hidden_grid=_activation(by_shape[(1, GRID.rows, GRID.columns, 1280)]),
            logit_grid=_activation(self._logit),
        )

    def run(self, pixels: Pixels) -> tuple[VisualTokens, FloatArray]:
        """(224, 224, 3) u8 through the unsplit network: its features at the split (49, 320) and its logits (1001,)."""
        self._interpreter.set_tensor(self._input, pixels[None])
        self._interpreter.invoke()
        features = self._read(self._feature).reshape(GRID.tokens, CHANNELS)
        return VisualTokens(features, GRID), self._read(self._logit).reshape(1001)

    def top1(self, pixels: Pixels) -> int:
        """The class that the unsplit network gives (224, 224, 3) u8 pixels."""
        return int(np.argmax(self.run(pixels)[1]))

    def lead(self, logits: FloatArray) -> int:
        """How many of its own steps the best of (1001,) logits leads by."""
        second, first = (float(value) for value in np.partition(logits, -2)[-2:])
        return round((first - second) / float(self.tail.logit_grid.scale))

    def _read(self, detail: dict[str, Any]) -> FloatArray:
        grid = _activation(detail)
        codes = self._interpreter.get_tensor(detail["index"]).astype(np.float32)
        return np.asarray((codes - grid.zero) * grid.scale, dtype=np.float32)


def _open_interpreter(path: Path) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as missing:
        raise MissingExtraError("bench") from missing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that keeping every tensor costs memory; reading one is the point
        interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _activation(detail: dict[str, Any]) -> Activation:
    quantisation = detail["quantization_parameters"]
    return Activation(float(quantisation["scales"][0]), int(quantisation["zero_points"][0]))


def prepare_pixels(photo: Image.Image) -> Pixels:
    """A photo of any size to (224, 224, 3) u8: RGB, the central square, resized (bicubic with antialiasing)."""
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    square = photo.convert("RGB").resize(
        (INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    return np.asarray(square, dtype=np.uint8)


def photo_variants(photo: Image.Image, crops: int, seed: int) -> list[Pixels]:
    """The photo's prepared pixels, and ``crops`` random square crops of it (half of them mirrored), for fitting."""
    random = np.random.default_rng(seed)
    photo = photo.convert("RGB")
    variants = [prepare_pixels(photo)]
    short = min(photo.size)
    for number in range(crops):
        side = int(short * random.uniform(0.55, 1.0))
        left = int(random.integers(0, photo.width - side + 1))
        top = int(random.integers(0, photo.height - side + 1))
        crop = photo.resize(
            (INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
        )
        pixels = np.asarray(crop, dtype=np.uint8)
        variants.append(np.ascontiguousarray(pixels[:, ::-1]) if number % 2 else pixels)
    return variants


def photo_paths() -> list[Path]:
    """The 410 photos of ``textvqa-dev`` by name; the first 200 are for fitting, the others for testing."""
    found = sorted((data_folder("textvqa-dev") / "photos").glob("*.jpg"))
    if not found:
        raise DataMissingError().noted(f"{data_folder('textvqa-dev') / 'photos'}: there are no photos (*.jpg) in it.")
    return found


@dataclass(frozen=True)
class SplitFeatures:
    """Everything that a codec on these features needs, computed once per process.

    Attributes:
        network: the network, for its tail and for pixels that a pixel codec decoded.
        fit: token sets (49, 320) of the fitting photos and their crops.
        test: token sets of the test photos, in the order of ``test_pixels``.
        test_pixels: (224, 224, 3) u8 per test photo, what the pixel codecs compress.
        reference_top1: the unsplit network's class per test photo.
        reference_lead: by how many steps of its eight-bit logits it leads there; with one or none the class is a tie.
        sensitivity: (320, 320) f32, :func:`fisher_by_frequency` of the fitting photos, its mean over the frequencies.
        frequency_sensitivity: (49, 320, 320) f32, :func:`fisher_by_frequency` over the fitting photos.
        each: how many of ``fit`` come from one photo: itself, then its crops.
    """

    network: SplitNetwork
    fit: tuple[VisualTokens, ...]
    test: tuple[VisualTokens, ...]
    test_pixels: tuple[Pixels, ...]
    reference_top1: tuple[int, ...]
    reference_lead: tuple[int, ...]
    sensitivity: FloatArray
    frequency_sensitivity: FloatArray
    each: int = 1

    def agreement(self, restored: Sequence[VisualTokens]) -> float:
        """Share of test photos whose class survives; ``restored`` in the order of ``test``."""
        same = [self.network.tail.top1(t.values) == c for t, c in zip(restored, self.reference_top1, strict=True)]
        return sum(same) / len(same)


@lru_cache(maxsize=2)
def load_split_features(crops: int = 3, limit: int | None = None) -> SplitFeatures:
    """Features of all photos, about 20 ms each on one core; kept in memory for later calls.

    Args:
        crops: random crops of each fitting photo beside the photo itself.
        limit: use only so many fitting photos and so many test photos.

    Raises:
        DataMissingError: the data folders are not there.
        MissingExtraError: the ``bench`` extra is not installed.
    """
    network = SplitNetwork()
    paths = photo_paths()
    fit: list[VisualTokens] = []
    for seed, path in enumerate(paths[:FIT_PHOTOS][:limit]):
        with Image.open(path) as photo:
            fit += [network.run(pixels)[0] for pixels in photo_variants(photo, crops, seed)]
    test, test_pixels, reference, lead = [], [], [], []
    for path in paths[FIT_PHOTOS:][:limit]:
        with Image.open(path) as photo:
            pixels = prepare_pixels(photo)
        tokens, logits = network.run(pixels)
        test.append(tokens)
        test_pixels.append(pixels)
        reference.append(int(np.argmax(logits)))
        lead.append(network.lead(logits))
    by_frequency = fisher_by_frequency(network.tail, fit[:: crops + 1])
    return SplitFeatures(
        network,
        tuple(fit),
        tuple(test),
        tuple(test_pixels),
        tuple(reference),
        tuple(lead),
        by_frequency.mean(axis=0),
        by_frequency,
        crops + 1,
    )


def fisher_by_frequency(tail: Tail, token_sets: Sequence[VisualTokens], *, classes: int = 64) -> FloatArray:
    """Second moment of the output's sensitivity to an error, mean over photos, per frequency of the orthonormal 7 x 7
    DCT-II over the grid: (49, D, D), row-major, DC first.

    It is the Fisher information of the class distribution, pulled back through classifier, pool and ReLU6. An average
    pool makes the mean over the grid (the DC coefficients) matter far more than the rest, which acts only through
    ReLU6. A codec that transforms the grid can use that.

    Per photo, with p the class distribution, w_c a classifier row, m_i the 0/1 mask of ReLU6 at position i and W the
    expansion: F = sum_c p_c g_c g_c^T with g_c,i = W^T (m_i * (w_c - sum p w)) / 49. The ``classes`` likeliest
    classes carry the sum, their p scaled to one.
    """
    total = np.zeros((GRID.tokens, CHANNELS, CHANNELS), dtype=np.float64)
    transform = np.kron(dct_matrix(GRID.rows), dct_matrix(GRID.columns)).astype(np.float32)  # (49, 49)
    for tokens in token_sets:
        gradients = _class_gradients(tail, tokens.values, classes)  # (C, 49, 320)
        spectrum = np.einsum("fi,cid->fcd", transform, gradients, optimize=True)  # (49, C, 320)
        total += np.matmul(spectrum.transpose(0, 2, 1), spectrum)
    return np.asarray(total / max(len(token_sets), 1), dtype=np.float32)


def _class_gradients(tail: Tail, features: FloatArray, classes: int) -> FloatArray:
    """sqrt(p_c) times the gradient of log p_c with respect to the features: (C, 49, 320)."""
    logits = tail.logits(features, as_stored=False)
    likeliest = np.argsort(-logits)[:classes]
    p = np.exp(logits[likeliest] - logits.max())
    p /= p.sum()
    rows = tail.classify[likeliest]
    scores = np.sqrt(p)[:, None] * (rows - p @ rows)  # (C, 1280)
    before = tail.hidden(features)
    mask = ((before > 0) & (before < 6)).astype(np.float32) / GRID.tokens  # (49, 1280)
    masked = scores[:, None, :] * mask[None]  # (C, 49, 1280)
    return np.asarray(masked.reshape(-1, masked.shape[-1]) @ tail.expand, dtype=np.float32).reshape(
        classes, GRID.tokens, CHANNELS
    )


def dct_matrix(size: int) -> npt.NDArray[np.float64]:
    """The orthonormal DCT-II, (size, size): row k holds the k-th cosine."""
    k, n = np.arange(size)[:, None], np.arange(size)[None]
    matrix = np.sqrt(2 / size) * np.cos(np.pi * (n + 0.5) * k / size)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)
