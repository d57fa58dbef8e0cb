"""Chooses how a model's attention is read when a region is looked for: layer, generic prompt, heads, windows.

arXiv 2512.16349 leaves the layer open. Here every layer is judged on photos whose regions are known, by how often the
found box holds the whole region (hit rate), then by contrast: once as in the paper (mean over heads, divided by a
generic prompt's map), once with an exponent for every head, which is a conditional logit over the map's cells::

    log map = sum over heads and positions of exponent x log(head's map), fitted so that the region's cells win

Exponents are judged on the half of the photos that they were not fitted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from heliograph.boxes import PixelBox
from heliograph.codec.base import Codec
from heliograph.controllers.region.find import RegionSetting, holds, log_map
from heliograph.errors import CodecNotFittedError
from heliograph.types import FloatArray, VisualTokens
from heliograph.vlm.attention import head_counts, layer_maps
from heliograph.vlm.contract import TorchModel

GENERIC_QUESTIONS = ("describe the picture.", "how many objects are there?", "what is in the picture?")
"""Prompts that ask for nothing in particular, as arXiv 2512.16349 divides by one."""

FLOORS = (0.25, 1.0, 4.0)
PROMPT_ROWS = (1, 4)
WINDOWS = ((0.25,), (0.1875, 0.25), (0.125, 0.1875, 0.25))
_EXPONENT_FLOOR = 0.01
_RIDGE = 1e-3
_STEPS = 200
_MIN_SAMPLES = 20

Double = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LookSample:
    """One question about one photo, seen by every layer.

    Attributes:
        own: (layers, P, H, rows, columns) attention of the last P prompt positions.
        generic: (layers, H, rows, columns) of the last position of each generic question.
        photo_size: width and height in pixels.
        box: what the question is about; None where unknown.
    """

    own: FloatArray
    generic: Mapping[str, FloatArray]
    photo_size: tuple[int, int]
    box: PixelBox | None


@dataclass(frozen=True)
class Tried:
    """One setting and how it did.

    Attributes:
        setting: fitted on all samples.
        hit_rate: share of boxes that hold the whole region, exponents fitted on the other half; None without regions.
        contrast: mean over samples.
    """

    setting: RegionSetting
    hit_rate: float | None
    contrast: float


def collect_looks(
    model: TorchModel,
    codec: Codec,
    asked: Iterable[tuple[Image.Image, str, PixelBox | None]],
    *,
    max_bytes: int | None,
    generic_questions: Sequence[str] = GENERIC_QUESTIONS,
) -> list[LookSample]:
    """Maps of all layers on photos as the cloud sees them, through the codec.

    Args:
        model: the frozen VLM.
        codec: of the first stage.
        asked: photo, question, region in photo pixels.
        max_bytes: of the first stage; None for the whole stream.
        generic_questions: to choose from.

    Raises:
        ModelUnsupportedError: a decoder whose attention cannot be computed.
    """
    layers = range(len(head_counts(model.torch_model)))
    found = []
    for photo, question, box in asked:
        encoded = codec.encode(model.encode_image(photo), max_bytes=max_bytes)
        tokens: VisualTokens = codec.decode(encoded.header, encoded.segments)
        own = layer_maps(model, question, tokens, layers=layers, prompt_rows=max(PROMPT_ROWS))
        generic = {text: layer_maps(model, text, tokens, layers=layers)[:, 0] for text in generic_questions}
        found.append(LookSample(own, generic, photo.size, box))
    return found


def choose_region_setting(samples: Sequence[LookSample], *, least_share: float) -> tuple[Tried, list[Tried]]:
    """The best setting, and everything that was tried, best first.

    Args:
        samples: of photos that nothing is reported on. Where no region is known, contrast alone decides between the
            paper's settings.
        least_share: side of a box at least, as a share of the photo's shorter side: what the model reads well.

    Raises:
        CodecNotFittedError: fewer than 20 samples.
    """
    if len(samples) < _MIN_SAMPLES:
        raise CodecNotFittedError().noted(f"{len(samples)} samples are here, and at least {_MIN_SAMPLES} are needed.")
    known = [sample for sample in samples if sample.box is not None]
    layers = range(samples[0].own.shape[0])
    questions = ("", *samples[0].generic)
    start = RegionSetting(0, least_share=least_share, windows=WINDOWS[0])
    tried = []
    for layer in layers:
        for question in questions:
            for floor in FLOORS if question else FLOORS[:1]:
                setting = replace(start, layer=layer, generic_question=question, floor=floor)
                tried.append(_judged([setting], [samples]))
            if len(known) == len(samples):
                tried += [
                    _fitted_and_judged(
                        replace(start, layer=layer, generic_question=question, prompt_rows=rows), samples
                    )
                    for rows in PROMPT_ROWS
                ]
    best = max(tried, key=_merit)
    tried += [_with_windows(best, windows, samples) for windows in WINDOWS[1:]]
    tried.sort(key=_merit, reverse=True)
    return tried[0], tried


def _merit(one: Tried) -> tuple[float, float]:
    return (one.hit_rate or 0.0, one.contrast)


def _with_windows(best: Tried, windows: tuple[float, ...], samples: Sequence[LookSample]) -> Tried:
    setting = replace(best.setting, windows=windows)
    return _fitted_and_judged(setting, samples) if setting.own else _judged([setting], [samples])


def _fitted_and_judged(setting: RegionSetting, samples: Sequence[LookSample]) -> Tried:
    """Judged on halves by exponents of the other half; the setting returned is fitted on all."""
    halves = [samples[0::2], samples[1::2]]
    judged = _judged([fit_exponents(setting, half) for half in halves], halves[::-1])
    return replace(judged, setting=fit_exponents(setting, samples))


def _judged(settings: Sequence[RegionSetting], parts: Sequence[Sequence[LookSample]]) -> Tried:
    """Each setting on its part."""
    hits, contrasts = [], []
    for setting, part in zip(settings, parts, strict=True):
        for sample in part:
            found = setting.find(*_maps(setting, sample), sample.photo_size)
            contrasts.append(found.contrast)
            if sample.box is not None:
                hits.append(holds(found.box, sample.box))
    return Tried(settings[0], float(np.mean(hits)) if hits else None, float(np.mean(contrasts)))


def _maps(setting: RegionSetting, sample: LookSample) -> tuple[FloatArray, FloatArray | None]:
    """Own maps (P, H, rows, columns) and the generic ones (H, rows, columns) that a setting reads."""
    own = sample.own[setting.layer, sample.own.shape[1] - setting.prompt_rows :]
    return own, sample.generic[setting.generic_question][setting.layer] if setting.generic_question else None


def fit_exponents(setting: RegionSetting, samples: Sequence[LookSample]) -> RegionSetting:
    """The setting with the exponents that make the regions' cells the likeliest ones.

    Args:
        setting: layer, generic question and prompt rows are kept.
        samples: with regions.
    """
    rows = []
    for sample in samples:
        own, generic = _maps(setting, sample)
        heads = [*own.reshape(-1, *own.shape[2:]), *(() if generic is None else generic)]
        rows.append(np.stack([log_map(one, _EXPONENT_FLOOR).ravel() for one in heads], axis=1))
    features = torch.from_numpy(np.stack(rows))  # (S, cells, heads)
    shape = samples[0].own.shape[-2:]
    wanted = torch.from_numpy(np.stack([_covered(s.box, s.photo_size, shape) for s in samples if s.box]))
    powers = torch.zeros(features.shape[2], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([powers], max_iter=_STEPS)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        likely = (features @ powers).log_softmax(dim=1)
        value = -(wanted * likely).sum(dim=1).mean() + _RIDGE * powers.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = tuple(round(power, 4) for power in powers.detach().tolist())
    own_count = setting.prompt_rows * samples[0].own.shape[2]
    return replace(setting, floor=_EXPONENT_FLOOR, own=found[:own_count], generic=found[own_count:])


def _covered(box: PixelBox, photo_size: tuple[int, int], shape: tuple[int, int]) -> Double:
    """(cells,) share of the region's area that lies in each cell of the map."""
    across = _overlap(box[0], box[2], photo_size[0], shape[1])
    down = _overlap(box[1], box[3], photo_size[1], shape[0])
    area = np.outer(down, across)
    return np.asarray(area / area.sum()).ravel()


def _overlap(start: int, end: int, length: int, cells: int) -> Double:
    edges = np.linspace(0, length, cells + 1)
    return np.asarray(np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 1e-12, None))
