from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from heliograph.bench.photos.figures import crossing, figures, row_of, sure_figures
from heliograph.bench.photos.measuring import Measured, PhotoTools, measure_codec, measure_pixels, sweep
from heliograph.codec.fitting.fit import fit_klt
from heliograph.strategies.split.latent import KltStrategy
from heliograph.training.progress import Progress
from heliograph.types import Grid, VisualTokens

PIXELS = ((4000, 0.7), (16000, 0.9), (64000, 1.0))


def _measured(strategy: str, payload: float, agreement: float, photos: int = 40) -> Measured:
    agrees = (np.arange(photos) < agreement * photos).astype(float)
    zeros = np.zeros(photos)
    return Measured(strategy, f"at={payload:g}", np.full(photos, payload), agrees, zeros, zeros)


@pytest.fixture
def found() -> list[Measured]:
    klt = [_measured("klt", b, a) for b, a in ((200, 0.6), (400, 0.8), (800, 0.9), (1600, 0.95))]
    pixels = [
        _measured(s, b, a) for s in ("jpeg-bare", "avif-bare") for b, a in ((4000, 0.7), (16000, 0.9), (64000, 1.0))
    ]
    files = [_measured("jpeg", b, a) for b, a in ((8000, 0.7), (32000, 0.9), (128000, 1.0))]
    return [*klt, *pixels, *files, _measured("webp-bare", 5000.0, 0.7)]


def test_figures_are_read_between_settings(found: list[Measured]) -> None:
    by_name = {f.name: f for f in figures(found)}
    assert by_name["bytes of klt at agreement 0.85"].value == pytest.approx(400 * 2**0.5)
    assert by_name["bytes of jpeg-bare at agreement 0.85"].value == pytest.approx(4000 * 4**0.75)
    assert by_name["bytes of webp-bare at agreement 0.85"].value is None
    ratio = by_name["bytes of klt / best bare pixel codec at agreement 0.85"]
    assert ratio.value == pytest.approx(400 * 2**0.5 / (4000 * 4**0.75))
    assert (ratio.must, ratio.aim) == (0.07, 0.035)
    assert ratio.interval is not None
    assert ratio.interval[0] <= ratio.value <= ratio.interval[1]
    later = by_name["bytes of klt / best bare pixel codec at agreement 0.94"]
    assert later.value == pytest.approx(800 * 2**0.8 / (16000 * 4**0.4))
    assert later.must is None
    fall = by_name["largest fall of agreement between 8 evenly spaced klt prefixes"]
    assert (fall.value, fall.interval) == (0, (0, 0))


def test_standard_files_stand_beside_the_headline_without_bounds(found: list[Measured]) -> None:
    by_name = {f.name: f for f in figures(found)}
    beside = by_name["bytes of klt / best standard picture file at agreement 0.85"]
    headline = by_name["bytes of klt / best bare pixel codec at agreement 0.85"]
    assert (beside.must, beside.aim) == (None, None)
    assert headline.value is not None
    assert beside.value == pytest.approx(headline.value / 2)


def test_a_crossing_that_many_resamples_miss_has_no_interval(found: list[Measured]) -> None:
    value, interval = crossing(found, "klt", 0.95)
    assert value == pytest.approx(1600)
    assert interval is None
    value, interval = crossing(found, "klt", 0.7)
    assert value is not None
    assert interval is not None
    assert interval[0] <= value <= interval[1]


def test_photos_without_a_lead_count_in_no_sure_agreement() -> None:
    one = _measured("klt", 100.0, 0.75)
    sure = np.arange(40) < 20
    row = row_of(one, sure)
    assert (row.agreement, row.sure_agreement, row.questions) == (0.75, 1.0, 40)
    assert row_of(one, np.zeros(40, bool)).sure_agreement is None
    assert all(figure.must is None for figure in sure_figures([one.of(sure)]))
    assert sure_figures([one.of(np.zeros(40, bool))]) == []


def test_klt_is_measured_at_every_level_of_its_sweep_and_whole() -> None:
    random = np.random.default_rng(0)
    basis = random.normal(0, 1, (6, 320))
    grid = Grid(7, 7)

    def tokens() -> VisualTokens:
        return VisualTokens((random.normal(0, 1, (49, 6)) @ basis).astype(np.float32), grid)

    codec = fit_klt([tokens() for _ in range(24)])
    test = [tokens() for _ in range(3)]

    def top1(values: np.ndarray) -> int:
        """0 where the restored tokens are near one of the originals."""
        return int(min(float(((values - t.values) ** 2).sum() / (t.values**2).sum()) for t in test) > 0.1)

    network = SimpleNamespace(tail=SimpleNamespace(top1=top1))
    features = SimpleNamespace(test=test, reference_top1=(0, 0, 0), network=network)
    with Progress(quiet=True) as progress:
        measured = measure_codec(codec, features, range(3), progress)
    levels = (*KltStrategy.levels, 0)
    assert [one.setting for one in measured] == [f"level={level}" for level in levels]
    for one, level in zip(measured, levels, strict=True):
        sent = [codec.encode(tokens, level=level or None).payload_bytes for tokens in test]
        assert one.payload_bytes.tolist() == sent
    assert measured[0].point[0] < measured[-1].point[0]
    assert measured[0].point[1] < measured[-1].point[1] == 1.0


@pytest.mark.parametrize("strategy", ["jpeg", "webp", "avif"])
def test_pixel_codecs_are_swept_over_size_and_quality(strategy: str) -> None:
    settings = sweep(strategy)
    assert len({(s["size"], s["quality"]) for s in settings}) >= 15
    assert any(s["size"] == 224 and s["quality"] >= 95 for s in settings)


def test_a_pixel_codec_is_judged_by_the_whole_network_on_what_it_decodes() -> None:
    photos = [np.full((224, 224, 3), level, np.uint8) for level in (10, 200)]
    seen: list[np.ndarray] = []

    def top1(pixels: np.ndarray) -> int:
        seen.append(pixels)
        return int(pixels.mean() > 100)

    network = SimpleNamespace(top1=top1)
    found = measure_pixels("jpeg", {"size": 96, "quality": 80}, network, PhotoTools(), photos, [0, 0])
    assert [s.shape for s in seen] == [(224, 224, 3)] * 2
    assert found.agrees.tolist() == [1.0, 0.0]
    assert found.setting == "size=96,quality=80"
    assert (found.payload_bytes > 100).all()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="raise", under="ignore"):
        yield
