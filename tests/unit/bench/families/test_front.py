"""What nothing else beats."""

from __future__ import annotations

import numpy as np

from heliograph.bench.families.front import Placed, front


def placed(name: str, payload_bytes: float, device_macs: int, accuracy: float) -> Placed:
    return Placed(name, "", payload_bytes, device_macs, accuracy)


def test_what_is_worse_in_everything_is_left_out_and_what_is_better_in_one_thing_stays() -> None:
    found = front(
        [
            placed("dear and good", 100, 50, 0.9),
            placed("worse than that", 110, 50, 0.9),
            placed("no work", 200, 0, 0.8),
            placed("few bytes", 10, 50, 0.5),
            placed("few bytes, more work", 10, 60, 0.5),
        ]
    )
    assert [one.strategy for one in found] == ["few bytes", "dear and good", "no work"]


def test_equals_stay_both() -> None:
    assert len(front([placed("a", 1, 1, 0.5), placed("b", 1, 1, 0.5)])) == 2


def test_every_setting_is_beaten_by_one_of_the_front_or_in_it() -> None:
    rng = np.random.default_rng(0)
    every = [placed(str(i), *rng.integers(1, 6, 2).tolist(), accuracy=int(rng.integers(5)) / 5) for i in range(60)]
    best = front(every)
    for one in every:
        assert one in best or any(other.beats(one) for other in best)
    assert not any(one.beats(other) for one in best for other in best)
