"""Numbers that stand in streams and files out there: none of them ever means something else."""

from __future__ import annotations

import pytest

from heliograph.protocol.wire_ids import (
    CONFIDENCE_WIRE_IDS,
    CONTROLLER_WIRE_IDS,
    REGION_WIRE_IDS,
    STRATEGY_WIRE_IDS,
    WireIds,
)

# Written down by hand. New names are added; a line that is here is never changed and never removed.
STRATEGIES = {
    "klt": 1,
    "jpeg": 2,
    "webp": 3,
    "avif": 4,
    "rgb": 5,
    "int8": 6,
    "downsample": 7,
    "random-drop": 8,
    "local": 9,
    "meta": 10,
    "int4": 11,
    "pq": 12,
    "jpeg-bare": 13,
    "webp-bare": 14,
    "avif-bare": 15,
    "dynamicvit": 16,
    "visionzip": 17,
    "divprune": 18,
    "tome": 19,
    "dfmr": 20,
    "latent-neck": 21,
    "tokens-1d": 22,
    "question-coded": 23,
    "jpeg-dct": 24,
    "feature-adapt": 25,
    "caption": 26,
    "read": 27,
    "side-info": 28,
    "entropic-student": 29,
    "frankensplit": 30,
    "split-k": 31,
    "roi-jpeg": 32,
    "roi-webp": 33,
    "roi-avif": 34,
    "prefilter": 35,
    "cotam": 36,
    "nnc": 37,
    "klt-nnc": 38,
    "feature-video": 39,
}
CONTROLLERS = {"fixed": 0, "energy": 1, "push": 2, "pull": 3, "level": 4}
CONFIDENCES = {"combined": 0, "min-entropy": 1, "entropy": 2, "margin": 3, "error-head": 4, "stability": 5}
REGION_POLICIES = {"never": 0, "always": 1, "random": 2, "threshold": 3, "calibrated": 4, "random-box": 5}


@pytest.mark.parametrize(
    ("ids", "pinned"),
    [
        (STRATEGY_WIRE_IDS, STRATEGIES),
        (CONTROLLER_WIRE_IDS, CONTROLLERS),
        (CONFIDENCE_WIRE_IDS, CONFIDENCES),
        (REGION_WIRE_IDS, REGION_POLICIES),
    ],
    ids=["strategy", "controller", "confidence", "region policy"],
)
def test_a_number_never_changes_its_meaning(ids: WireIds, pinned: dict[str, int]) -> None:
    assert {name: ids.of(name) for name in pinned} == pinned
    assert {number: ids.name_of(number) for number in pinned.values()} == {n: name for name, n in pinned.items()}


@pytest.mark.parametrize("ids", [STRATEGY_WIRE_IDS, CONTROLLER_WIRE_IDS, CONFIDENCE_WIRE_IDS, REGION_WIRE_IDS])
def test_every_name_has_a_number_of_its_own(ids: WireIds) -> None:
    numbers = [ids.of(name) for name in ids.names()]
    assert len(set(numbers)) == len(numbers)
