"""An exported vision encoder in eight bits: a quarter of the file, and faster; the method with the least error wins.

::

    float32 graph --fuse--> --smooth?--> x --to uint8--> x W in integers --scale, bias--> float32 ...
                                         ranges of x: of each photo (dynamic), or of the calibration photos (static)

Every product of a computed value with a constant matrix runs in integers: weights with one scale per output channel,
the other side with one scale and zero point per value. Attention, normalisation and the patches' convolution stay
float32; the convolutions of a convolutional encoder follow afterwards
(:mod:`heliograph.training.export.onnx_convolutions`). Smoothing divides what a LayerNorm makes by a factor per channel
and multiplies the rows of the weights that take it, so that a few large channels cost the others no precision
(SmoothQuant, arXiv 2211.10438).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from heliograph.codec.onnx_session import open_session
from heliograph.edge.processor import ANY, ARM, VNNI, this_processor
from heliograph.errors import BundleDamagedError, FileUnreadableError, ShapeError, UsageError
from heliograph.reasons import FileFault
from heliograph.training.export.int8_emulation import emulate
from heliograph.training.export.onnx_convolutions import MAX_MEAN_ERROR_INT8, is_convolutional, quantise_convolutions
from heliograph.training.export.onnx_fusion import DOMAIN, Graph, Values, fold, fuse
from heliograph.training.export.onnx_weights import compact_weights
from heliograph.training.progress import Advance
from heliograph.types import Reporter

LEVELS, SAFE_LEVELS = 127, 63
"""Largest weight: of eight bits, and of seven for x86 without VNNI, where sums of two eight-bit products saturate."""

LEVELS_OF_PROFILE = {ANY: SAFE_LEVELS, VNNI: LEVELS, ARM: LEVELS}

MAX_FUSION_ERROR = 1e-3
"""Between a graph with fused operators and its source, over the largest token value; else nothing is fused."""

_METHODS = {
    "dynamic int8": (False, False),
    "smoothed dynamic int8": (True, False),
    "static int8": (False, True),
    "smoothed static int8": (True, True),
}  # (smoothed, static)
METHODS = tuple(_METHODS)
"""Methods in order: of equal errors the first wins. Without smoothing, equal weights of several graphs stay equal."""

_CONVOLUTIONS = ", convolutions too"
_CLEARLY = 0.98  # another method must have less than so much of the error
_MIN_SIDE = 16  # of a matrix worth quantising
_TIMED_RUNS = 3
_STEPS = 255
_SMOOTHING = 0.5  # between the ranges of activations (1) and of weights (0)

_TINY = 1e-6

Inputs = Mapping[str, Values]


def _silent(line: str) -> None:
    """Shows nothing."""


@dataclass(frozen=True)
class Quantised:
    """What came out.

    Attributes:
        method: ``dynamic int8``, ``static int8``, or ``smoothed`` before either; ``, convolutions too`` behind it
            where they are in eight bits as well.
        mean_error: mean |difference of tokens| over mean |token|, on the held-out inputs, against the float32 graph.
        largest_error: largest |difference| over the largest |token|.
        file_bytes: of the file.
        latency_ratio: quickest run over the source's quickest run, one thread, in turn; no part of the choice.
        errors: ``mean_error`` of every method that was tried.
    """

    method: str
    mean_error: float
    largest_error: float
    file_bytes: int
    latency_ratio: float
    errors: Mapping[str, float]


@dataclass(frozen=True)
class _Range:
    """Smallest and largest value per channel (K,) of a product's computed side, over the calibration inputs."""

    low: Values
    high: Values

    def over(self, factors: Values) -> _Range:
        """The range after division by a positive factor per channel."""
        return _Range(self.low / factors, self.high / factors)

    def joined(self, other: _Range) -> _Range:
        """The range that covers both."""
        return _Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def size(self) -> Values:
        """Largest magnitude per channel, never 0."""
        return np.asarray(np.maximum(np.maximum(-self.low, self.high), _TINY))


def quantise_encoder(
    source: Path,
    out: Path,
    calibration: Sequence[Values | Inputs],
    *,
    levels: int = SAFE_LEVELS,
    methods: Sequence[str] = METHODS,
    progress: Reporter = _silent,
    advance: Advance = lambda steps: None,
) -> Quantised:
    """Write the int8 graph with the least token error.

    Args:
        source: float32 graph of any inputs, whose first output is the tokens; below 2 GB in float32.
        out: file to write.
        calibration: inputs of real photos: an array for the only input, or arrays by name. Every other one is held
            out and measures the error, the rest set ranges. At least 2, better 16.
        levels: largest weight; with more than ``SAFE_LEVELS`` errors are those of processors that do not saturate,
            whatever this one does.
        methods: to choose from.
        progress: receives a line per method.
        advance: counts methods.

    Raises:
        FileUnreadableError: there is no network that ONNX Runtime can run.
        ShapeError: a calibration input does not fit the network.
        UsageError: fewer than two calibration inputs, no such method, or levels out of 1 to 127.
    """
    if len(calibration) < 2:
        raise UsageError.of_argument("calibration", "two inputs or more", len(calibration))
    if not 1 <= levels <= LEVELS:
        raise UsageError.of_argument("levels", f"1 to {LEVELS}", levels)
    if not methods or not set(methods) <= _METHODS.keys():
        raise UsageError.of_argument("methods", f"at least one of {', '.join(_METHODS)}", methods)
    run = _Runner(source)
    named = [run.named(given) for given in calibration]
    fitting, held = named[::2], named[1::2]
    expected = [run(given) for given in held]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        fused = _fused(source, work / "fused.onnx", expected, held)
        ranges = _calibrate(fused, work / "watched.onnx", fitting)
        best, errors = "", {}
        for method, path in {method: work / f"{number}.onnx" for number, method in enumerate(methods)}.items():
            _write(fused, path, ranges, method, levels)
            judged = path
            if levels > SAFE_LEVELS and this_processor().saturates:
                judged = work / "exact.onnx"
                emulate(path, judged, saturating=False)
            errors[method] = token_error(expected, map(_Runner(judged), held))
            progress(f"{method}: mean relative token error {errors[method][0]:.2%}")
            advance(1)
            if not best or errors[method][0] < _CLEARLY * errors[best][0]:
                best = method
                shutil.copyfile(path, out)
            path.unlink()
        final = errors[best]
        if is_convolutional(out):
            quantise_convolutions(out, work / "whole.onnx", fitting, seven_bits=levels <= SAFE_LEVELS)
            whole = token_error(expected, map(_Runner(work / "whole.onnx"), held))
            progress(f"{best}{_CONVOLUTIONS}: mean relative token error {whole[0]:.2%}")
            if whole[0] <= MAX_MEAN_ERROR_INT8:
                best, final = best + _CONVOLUTIONS, whole
                shutil.copyfile(work / "whole.onnx", out)
    compact_weights(out)
    ratio = _latency_ratio(_Runner(out), run, held[0])
    means = {method: error[0] for method, error in errors.items()}
    return Quantised(best, *final, out.stat().st_size, ratio, means)


def token_error(expected: Iterable[Values], found: Iterable[Values]) -> tuple[float, float]:
    """Mean |difference| over mean |token|, and largest |difference| over largest |token|."""
    pairs = [(np.abs(right), np.abs(wrong - right)) for right, wrong in zip(expected, found, strict=True)]
    whole, apart = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*pairs, strict=True))
    return float(apart.mean() / whole.mean()), float(apart.max() / whole.max())


# ---- running ---------------------------------------------------------------------------------------
class _Runner:
    """A graph in ONNX Runtime, one thread."""

    def __init__(self, path: Path) -> None:
        try:
            self._session = open_session(path)
        except BundleDamagedError as error:
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}.") from error
        self._names = [given.name for given in self._session.get_inputs()]

    def named(self, given: Values | Inputs) -> Inputs:
        """Arrays by name."""
        if isinstance(given, Mapping):
            return given
        if len(self._names) != 1:
            raise ShapeError().noted(f"the network has {len(self._names)} inputs: give them by name.")
        return {self._names[0]: given}

    def outputs(self, given: Inputs) -> list[Values]:
        """Everything that the graph makes."""
        try:
            made: list[Values] = self._session.run(None, dict(given))
        except Exception as error:  # onnxruntime raises its own classes for wrong names, types and shapes
            shapes = " and ".join(str(np.shape(one)) for one in given.values())
            raise ShapeError().noted(f"ONNX Runtime refuses a calibration input of shape {shapes}.") from error
        return made

    def __call__(self, given: Inputs) -> Values:
        """The tokens."""
        return self.outputs(given)[0]


def _fused(source: Path, path: Path, expected: Sequence[Values], held: Sequence[Inputs]) -> Path:
    """The graph with fused operators, if they compute the same."""
    fuse(source, path)
    try:
        error = token_error(expected, map(_Runner(path), held))[1]
    except (FileUnreadableError, ShapeError):  # an operator that ONNX Runtime has not for these sizes
        error = np.inf
    if not error <= MAX_FUSION_ERROR:
        fold(source, path)
    return path


def _latency_ratio(one: _Runner, other: _Runner, given: Inputs) -> float:
    quickest = [np.inf, np.inf]
    for _ in range(_TIMED_RUNS):
        for place, run in enumerate((one, other)):
            began = time.perf_counter()
            run(given)
            quickest[place] = min(quickest[place], time.perf_counter() - began)
    return float(quickest[0] / quickest[1])


def _calibrate(path: Path, watched: Path, fitting: Sequence[Inputs]) -> dict[str, _Range]:
    """Ranges of every value that a quantised product takes."""
    graph = Graph.load(path)
    names = sorted({product.given for product in _products(graph)})
    made = [name for name in names if graph.maker(name) is not None]
    graph.model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made if name not in graph.outputs
    )
    order = [output.name for output in graph.model.graph.output]
    graph.save(watched)
    run = _Runner(watched)
    ranges: dict[str, _Range] = {}
    for given in fitting:
        values = {**given, **dict(zip(order, run.outputs(given), strict=True))}
        for name in names:
            rows = values[name].reshape(-1, values[name].shape[-1])  # (rows, K)
            found = _Range(rows.min(axis=0), rows.max(axis=0))
            ranges[name] = ranges[name].joined(found) if name in ranges else found
    return ranges


# ---- rewriting -------------------------------------------------------------------------------------
@dataclass
class _Product:
    """``given`` (..., K) times ``weight`` (K, N) plus ``bias`` (N,), made by ``nodes``, the first to be replaced."""

    nodes: tuple[Any, ...]
    given: str
    weight: Values
    bias: Values | None

    @property
    def made(self) -> str:
        """Name of the result."""
        return str(self.nodes[-1].output[0])


def _products(graph: Graph) -> list[_Product]:
    found = [_product(graph, node) for node in graph.nodes if node.op_type in ("MatMul", "Gemm")]
    return [product for product in found if product is not None]


def _product(graph: Graph, node: Any) -> _Product | None:
    """The product of a node; None where it has no constant matrix, a small one, or more than a product and a bias."""
    given, weight = node.input[0], graph.weight(node.input[1])
    if graph.weight(given) is not None or weight is None or weight.ndim != 2 or min(weight.shape) < _MIN_SIDE:
        return None
    if node.op_type == "Gemm":
        return _gemm(graph, node, weight)
    user = graph.only_user(node.output[0])
    if user is not None and user.op_type == "Add":
        for name in user.input:
            bias = graph.weight(name)
            if bias is not None and bias.shape == weight.shape[1:]:
                return _Product((node, user), given, weight, bias)
    return _Product((node,), given, weight, None)


def _gemm(graph: Graph, node: Any, weight: Values) -> _Product | None:
    settings = {setting.name: helper.get_attribute_value(setting) for setting in node.attribute}
    if settings.get("transA", 0) or settings.get("alpha", 1) != 1 or settings.get("beta", 1) != 1:
        return None
    weight = weight.T if settings.get("transB", 0) else weight
    if len(node.input) < 3 or not node.input[2]:
        return _Product((node,), node.input[0], weight, None)
    bias = graph.weight(node.input[2])
    fits = bias is not None and bias.shape == weight.shape[1:]
    return _Product((node,), node.input[0], weight, bias) if fits else None


def _write(fused: Path, out: Path, ranges: Mapping[str, _Range], method: str, levels: int) -> None:
    smoothed, static = _METHODS[method]
    graph = Graph.load(fused)
    products, known = _products(graph), dict(ranges)
    if smoothed:
        _smooth(graph, products, known)
    entered: set[str] = set()
    for number, product in enumerate(products):
        new = [_in_integers(graph, product, f"product{number}", levels)]
        if product.given not in entered:
            new.insert(0, _entry(graph, product.given, known[product.given] if static else None))
        entered.add(product.given)
        for node in product.nodes[1:]:
            graph.replace(node)
        graph.replace(product.nodes[0], *new)
    graph.save(out)


def _entry(graph: Graph, name: str, known: _Range | None) -> Any:
    """The node that rounds a value to uint8: in a fixed range, or in that of each run."""
    names = [f"{name}.{part}" for part in ("levels", "scale", "zero")]
    if known is None:
        return helper.make_node("DynamicQuantizeLinear", [name], names)
    low, high = min(float(known.low.min()), 0.0), max(float(known.high.max()), 0.0)
    scale = max(high - low, 1e-6) / _STEPS
    graph.constant(names[1], np.array(scale, np.float32))
    graph.constant(names[2], np.array(round(-low / scale), np.uint8))
    return helper.make_node("QuantizeLinear", [name, *names[1:]], names[:1])


def _in_integers(graph: Graph, product: _Product, name: str, levels: int) -> Any:
    largest = np.abs(product.weight).max(axis=0)
    scale = (np.where(largest > 0, largest, 1) / levels).astype(np.float32)  # (N,)
    rounded = np.rint(product.weight / scale).astype(np.int8)
    given = [f"{product.given}.{part}" for part in ("levels", "scale", "zero")]
    weight, scales = graph.constant(f"{name}.levels", rounded), graph.constant(f"{name}.scale", scale)
    bias = [] if product.bias is None else [graph.constant(f"{name}.bias", product.bias)]
    inputs = [given[0], weight, given[1], scales, given[2], "", *bias]
    return helper.make_node("MatMulIntegerToFloat", inputs, [product.made], domain=DOMAIN)


def _smooth(graph: Graph, products: Sequence[_Product], ranges: dict[str, _Range]) -> None:
    """Level out the channels of whatever LayerNormalization or attention gives to products alone."""
    taking: dict[str, list[_Product]] = {}
    for product in products:
        taking.setdefault(product.given, []).append(product)
    making = {product.made: product for product in products}
    for name, takers in taking.items():
        node = graph.maker(name)
        if node is None or name in graph.outputs or len(graph.users(name)) != len(takers):
            continue
        factors = _factors(ranges[name], takers)
        if _divide(graph, node, making, factors):
            ranges[name] = ranges[name].over(factors)
            for product in takers:
                product.weight = product.weight * factors[:, None]


def _factors(known: _Range, takers: Sequence[_Product]) -> Values:
    """(K,) float32, geometric mean 1."""
    rows = np.max([np.abs(product.weight).max(axis=1) for product in takers], axis=0)
    logs = _SMOOTHING * np.log(known.size) - (1 - _SMOOTHING) * np.log(np.maximum(rows, _TINY))
    return np.asarray(np.exp(logs - logs.mean()), np.float32)


def _divide(graph: Graph, node: Any, making: Mapping[str, _Product], factors: Values) -> bool:
    """Divide a node's result by a factor per channel, through constants alone; False where that cannot be done."""
    if node.op_type == "LayerNormalization":
        constants = [graph.weight(name) for name in node.input[1:]]
        if any(values is None or values.shape != factors.shape for values in constants):
            return False
        for place, values in enumerate(constants, start=1):
            node.input[place] = graph.constant(f"{node.output[0]}.smooth{place}", values / factors)
        return True
    value = making.get(node.input[2]) if node.op_type == "MultiHeadAttention" else None
    if value is None or graph.only_user(value.made) is None:
        return False
    value.weight = value.weight / factors
    value.bias = None if value.bias is None else value.bias / factors
    return True
