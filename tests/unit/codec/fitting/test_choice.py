"""Which mode a fit takes, and whether it looks at the surroundings of a coefficient, from made-up curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.codec.fitting import fit as fitting
from heliograph.codec.fitting.fit import _Fitter
from heliograph.codec.fitting.metric import make_metric

Curve = list[tuple[float, float]]
PLAIN: Curve = [(8, 10), (4, 20), (2, 40)]  # distortion and bytes


def times(share: float) -> Curve:
    """So many of the bytes."""
    return [(distortion, share * size) for distortion, size in PLAIN]


def chosen(curves: dict[tuple[str, bool], Curve], photos: int = 40) -> tuple[tuple[str, bool], list[Any], set[int]]:
    """What is chosen of curves by mode and activity, what was fitted, and on how many photos each was judged.

    The last photos, one in eight, lie 4 from the mean in one value: a quarter of their energy is 4.
    """
    fitter = object.__new__(_Fitter)
    fitter.contexts = False
    fitter.metric, fitter.mean = make_metric(1, (1, 1), None, None), np.full((1, 1), 3.0, np.float32)
    fitter.tokens = np.full((photos, 1, 1), 1e3, np.float32)
    fitter.tokens[-min(24, max(2, photos // 8)) :] = 7
    fitted: list[Any] = []
    judged: set[int] = set()

    def codec(mode: str, activity: bool, tiles: int, most: int) -> tuple[str, bool]:
        fitted.append((mode, activity, tiles, most))
        return mode, activity

    def curve(made: tuple[str, bool], held: int) -> np.ndarray:
        judged.add(held)
        return np.array(curves[made], float)

    fitter.codec, fitter._curve = codec, curve  # type: ignore[assignment,method-assign]
    return fitter.choose(list(dict.fromkeys(mode for mode, _ in curves))), fitted, judged


@pytest.mark.parametrize(
    ("second", "third", "best"),
    [
        (times(0.5), times(0.5), "b"),  # as good is not better
        (times(0.5), times(0.4), "c"),
        (times(1.0), times(1.0), "a"),
        (times(1.1), times(0.9), "c"),
        ([(8, 1000), (4, 10), (2, 20)], times(0.6), "b"),  # up to a quarter of the energy counts
        ([(8, 1), (4, 21), (2, 42)], times(1.2), "a"),
    ],
)
def test_the_mode_with_the_fewest_bytes_where_streams_are_used(second: Curve, third: Curve, best: str) -> None:
    plain = {(mode, False): [(8.0, 1e4), (4.0, 2e4), (2.0, 4e4)] for mode in "abc"}
    found, fitted, _ = chosen({("a", True): PLAIN, ("b", True): second, ("c", True): third} | plain)
    assert found == (best, True)
    assert [(mode, activity) for mode, activity, *_ in fitted] == [("a", True), ("b", True), ("c", True), (best, False)]


@pytest.mark.parametrize(("share", "wanted"), [(0.5, True), (0.979, True), (0.981, False), (1.0, False), (1.5, False)])
def test_surroundings_must_save_two_percent(share: float, wanted: bool) -> None:
    assert chosen({("a", True): times(share), ("a", False): PLAIN})[0] == ("a", wanted)


@pytest.mark.parametrize(("photos", "held"), [(8, 2), (16, 2), (24, 3), (40, 5), (192, 24), (400, 24)])
def test_one_photo_in_eight_is_held_out(photos: int, held: int) -> None:
    """At least two and at most 24 of them; the others are fitted on, up to a mebi-coefficient of them."""
    _, fitted, judged = chosen({("a", True): PLAIN, ("a", False): PLAIN}, photos)
    assert judged == {held}
    assert {(tiles, most) for _, _, tiles, most in fitted} == {(photos - held, 1 << 20)}


def test_contexts_take_part_in_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a trial, on the photos that are not held out."""
    seen: list[Any] = []

    def noted(*given: Any, **named: Any) -> str:
        seen.append((*given, named))
        return "with contexts"

    monkeypatch.setattr(fitting, "with_contexts", noted)
    fitter = object.__new__(_Fitter)
    fitter.contexts, fitter.tokens = True, np.zeros((12, 4, 1), np.float32)
    fitter.codec = lambda *given: given  # type: ignore[assignment,method-assign,return-value]
    assert fitter._trial("none", True, 10) == "with contexts"
    ((codec, tokens, named),) = seen
    assert codec == ("none", True, 10, 1 << 20)
    assert (len(tokens), named) == (10, {"trial": True})
