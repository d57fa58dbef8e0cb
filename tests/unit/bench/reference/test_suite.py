from pathlib import Path

import numpy as np
import pytest

from heliograph.bench.definitions import standard_links
from heliograph.bench.device.process import DeviceProcess, peak_memory_mb
from heliograph.bench.exchange_model import Messages
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.reference.figures import Findings, reference_figures
from heliograph.bench.scores import CloudWork, Scores, b99_of
from heliograph.bench.socket_runs import LONGEST_CARRIAGE_S, carriage_s, cheapest_good_settings
from heliograph.errors import BundleDamagedError, ModelUnavailableError

OPPONENTS = {"bare pixel codec": ("jpeg-bare", "webp-bare", "avif-bare"), "standard picture file": ("webp",)}
IMAGES = [f"scene-{i}" for i in range(100)]


def _scores(strategy: str, payload: float, right: float, codec_ms: float = 1.0) -> Scores:
    outcome = Outcome(Candidate(strategy, {"rate": int(payload)}))
    for number, image in enumerate(IMAGES):
        outcome.photos[image] = PhotoOutcome(payload, 10.0, 1.0, codec_ms)
        value = [float(number < right * len(IMAGES))]
        outcome.scores[image, "colour"] = outcome.agreements[image, "colour"] = value
    for image in IMAGES[:10]:
        # 20 bytes of text, 40 of overhead
        outcome.messages[image] = Messages(40, 25, (int(payload) + 15,), 20, 10, 20)
    return Scores(outcome, IMAGES)


@pytest.fixture
def findings() -> Findings:
    uncompressed = _scores("uncompressed", 0, 1.0)
    groups = {
        "klt": [_scores("klt", b, r, ms) for b, r, ms in ((50, 0.7, 1), (100, 0.99, 2), (200, 0.96, 4))],
        "jpeg-bare": [_scores("jpeg-bare", b, r) for b, r in ((1000, 0.9), (4000, 0.995))],
        "webp-bare": [_scores("webp-bare", b, r) for b, r in ((900, 0.9), (2000, 0.99))],
        "webp": [_scores("webp", b, r) for b, r in ((1900, 0.9), (4000, 0.99))],
    }
    crossings = {name: b99_of(settings, uncompressed) for name, settings in groups.items()}
    process = DeviceProcess(0.1, 120.0, False)
    return Findings(uncompressed, groups, crossings, CloudWork(5.0, 9.0, 2.0, 300), process, OPPONENTS)


def test_figures_follow_from_the_findings(findings: Findings) -> None:
    found = {f.name: f for f in reference_figures(findings)}
    ratio = found["B99 of klt / B99 of the best bare pixel codec"]
    assert ratio.value == pytest.approx(100 / 2000)
    beside = found["B99 of klt / B99 of the best standard picture file"]
    assert (beside.value, beside.must) == (pytest.approx(100 / 4000), None)
    fall = next(f for name, f in found.items() if name.startswith("largest fall"))
    assert fall.value == pytest.approx(3.0)  # 99 % to 96 %
    codec = next(f for name, f in found.items() if name.startswith("klt codec"))
    assert codec.value == pytest.approx(2.0 + 1.0)  # at 100 bytes, the first with 99 %
    overhead = next(f for name, f in found.items() if name.startswith("bytes of an exchange"))
    assert overhead.value == pytest.approx(40.0)


def test_a_learned_codec_has_marks_of_its_own(findings: Findings) -> None:
    findings.groups["meta"] = [_scores("meta", b, r) for b, r in ((12, 0.8), (14, 0.9), (50, 0.97), (60, 0.99))]
    findings.crossings["meta"] = b99_of(findings.groups["meta"], findings.uncompressed)
    found = {f.name: f for f in reference_figures(findings)}
    assert found["B99 of meta / B99 of the best bare pixel codec"].value == pytest.approx(60 / 2000)
    assert found["B99 of meta / B99 of klt"].value == pytest.approx(0.6)
    lost = next(f for name, f in found.items() if name.startswith("accuracy lost at a quarter"))
    assert lost.value == pytest.approx(0.1)  # 14 of 60 bytes keep 0.9
    assert found["B99 of klt / B99 of the best bare pixel codec"].must == 0.25


def test_time_ratios_compare_equal_accuracy(findings: Findings) -> None:
    times = [f for f in reference_figures(findings) if f.name.startswith("final answer time")]
    slow, beside, fast, _ = times
    assert slow.source == fast.source == "modelled"
    # 20 kbit/s: question and photo up, the answer down, 0.2 s of delay; work of 10 + 1 + 5 or 9 ms
    klt = 0.010 + (100 + 15) / 2500 + 0.2 + 0.001 + 0.005 + 20 / 2500
    webp = 0.010 + (2000 + 15) / 2500 + 0.2 + 0.001 + 0.009 + 20 / 2500
    assert slow.value == pytest.approx(klt / webp, rel=1e-3)
    assert fast.value is not None
    assert slow.value < fast.value < 1
    assert (slow.must, beside.must) == (0.6, None)
    assert "bare pixel codec" in slow.name
    assert "standard picture file" in beside.name
    assert beside.value == pytest.approx(klt / (webp + 2000 / 2500), rel=1e-3)


def test_what_was_not_reached_has_no_value(findings: Findings) -> None:
    groups = {"klt": [_scores("klt", 50, 0.5)]}
    crossings = {"klt": b99_of(groups["klt"], findings.uncompressed)}
    poor = Findings(findings.uncompressed, groups, crossings, findings.cloud, findings.process, OPPONENTS)
    found = {f.name: f for f in reference_figures(poor)}
    assert found["B99 of klt / B99 of the best bare pixel codec"].value is None
    assert all(f.value is None for name, f in found.items() if name.startswith("final answer time"))


def test_the_socket_runs_the_cheapest_good_setting_of_each(findings: Findings) -> None:
    scores = [s for settings in findings.groups.values() for s in settings]
    scores += [_scores("downsample", 500, 0.6), _scores("downsample", 300, 0.7), _scores("local", 0, 1.0)]
    chosen = cheapest_good_settings(scores, findings.uncompressed)
    assert {strategy: one.outcome.candidate.setting for strategy, one in chosen.items()} == {
        "klt": {"rate": 100},
        "jpeg-bare": {"rate": 4000},
        "webp-bare": {"rate": 2000},
        "webp": {"rate": 4000},
        "downsample": {"rate": 300},  # none is good: the best
    }


def test_what_a_link_carries_too_slowly_is_known_beforehand() -> None:
    narrow, good = standard_links()[0], standard_links()[-1]
    rgb = _scores("rgb", 65538, 1.0)
    assert carriage_s(rgb, narrow) == pytest.approx(65538 * 8 / 20_000)
    assert carriage_s(rgb, narrow) > LONGEST_CARRIAGE_S > carriage_s(rgb, good)


def test_peak_memory_is_of_this_process() -> None:
    before = peak_memory_mb()
    block = np.ones(64 * 2**20 // 8)  # 64 MiB, touched
    assert peak_memory_mb() >= max(before, block.nbytes / 2**20)


def test_missing_model_and_bundle_are_named_errors(tmp_path: Path) -> None:
    from heliograph.bench.reference.suite import SmokeSuite

    with pytest.raises((ModelUnavailableError, BundleDamagedError)):
        SmokeSuite(str(tmp_path / "nothing"), tmp_path).run(quiet=True)
