"""Golden vectors of streams of chosen tokens: headers and codewords. A change here is a wire-format change.

Codec and tokens are those of ``tests/support/integer_codec.py``, three tiles of them. The codewords are what
``tests/interop/chosen.js``, written from ``docs/bitstream.md`` alone, makes of the same integers.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.registry import STRATEGIES
from heliograph.strategies.token_compression.dynamicvit import Choice
from heliograph.strategies.towers import AttendedTokens, Shortening, ShortTokens
from heliograph.types import EncodedImage
from integer_codec import integer_codec, integer_tokens

CODEC, TOKENS = integer_codec(contexts=False), integer_tokens(7, tiles=3)
CLUSTERS = np.array([0, 0, 1, 2, 1, 1, 3, 0, 0, 3, 4, 2, 4, 4, 5, 5, 5, 3])
LOOKED_AT = np.array([7, 0, 0, 0, 0, 0, 0, 8, 0, 0, 9, 0, 6, 0, 0, 0, 0, 0])  # places 10, 7, 0, 12
PREDICTED = np.array(
    [3.0, 1.0, 9.0, 2.0, 0.0, 4.0, 8.0, 0.5, 0.25, 7.0, 0.75, 1.5, 6.0, 0.125, 1.25, 5.0, 0.375, 0.0625]
)


def pruned(shorten: Any) -> ShortTokens:
    """What the predictors of two stages leave of 18 units, whose states say how much each is wanted."""
    clusters = np.arange(TOKENS.grid.tokens)
    for block in (1, 2):
        held = np.flatnonzero(clusters >= 0)
        states = PREDICTED[held].astype(np.float32)[:, None, None]
        becomes = shorten(Shortening(block, states, None, np.ones(len(held), np.int64), clusters))
        clusters[held] = becomes
    return ShortTokens(TOKENS, clusters)


def shortened(shorten: Any) -> ShortTokens:
    return pruned(shorten) if isinstance(shorten, Choice) else ShortTokens(TOKENS, CLUSTERS)


def predictor(stem: str) -> Any:
    return SimpleNamespace(run=lambda outputs, given: [given["states"][..., 0]])


TOOLS: Any = SimpleNamespace(
    codec=lambda kind: CODEC,
    encode_tokens=lambda photo: TOKENS,
    encode_attended=lambda photo: AttendedTokens(TOKENS, LOOKED_AT.astype(np.float32), TOKENS.values),
    part=lambda name: SimpleNamespace(card={"stages": [1, 2]}, network=predictor),
    tower=SimpleNamespace(
        shortened=lambda photo, shorten: (
            pruned(shorten) if isinstance(shorten, Choice) else ShortTokens(TOKENS, CLUSTERS)
        )
    ),
    check_grid=lambda grid: None,
    grid=TOKENS.grid,
)
# (strategy, setting): header, codeword
VECTORS = {
    ("dynamicvit", "ratio=53,level=3"): (
        "038102030316",
        "1fbc2ab9dffe6be018939ff2c057",
    ),
    ("dynamicvit", "ratio=100,level=11"): (
        "0b8102030316",
        "1f9978be6cdfa064d5d5540394d6f9943cb180e462aeb05c850b547e517251cb8c94ffad2249",
    ),
    ("visionzip", "dominant=4,contextual=0,level=3"): ("83038102030316", "9b07f764447ba27f09d7a60d"),
    ("visionzip", "dominant=4,contextual=3,level=3"): ("8303c102030303a3", "9b07f764447ba27f09d7a6e4cdb716dbbe90"),
    ("divprune", "keep=5,level=0"): ("008102030316", "33f10a595b8fb27ffaf3c8a3bacd3a55"),
    ("divprune", "keep=5,level=0,order=sorted"): ("80048102030316", "6497512592bb5e91124986ed715ce4"),
    ("divprune", "keep=9,level=11"): ("0b8102030316", "3434ce0228e47b162e0972b0409b6cb6151006505a"),
    ("tome", "merge=2,level=0"): ("80058102030316", "ab99c1626c19135dd29e111e53e1c0f149aafe7383"),
    ("dfmr", "tau=0.0,level=0"): (
        "008102030316",
        "fb0ca359c79e053fb7fdf4bf32ed8c55421ff37a8449b0fea452e405ade876392c2b59125de1da2e9ef73295b456b7",
    ),
    ("dfmr", "tau=10.0,level=5"): ("059102030371", "9ed75a"),
}


def sent(strategy: str, setting: str) -> EncodedImage:
    made = STRATEGIES.load(strategy)()
    knobs = dict(pair.split("=") for pair in setting.split(","))
    typed = {knob: type(made.default_setting[knob])(value) for knob, value in knobs.items()}
    stream: EncodedImage = made.encode(None, TOOLS, typed)
    return stream


@pytest.mark.parametrize(("strategy", "setting"), VECTORS)
def test_header_and_codeword(strategy: str, setting: str) -> None:
    header, codeword = VECTORS[strategy, setting]
    encoded = sent(strategy, setting)
    assert (encoded.header.hex(), b"".join(encoded.segments).hex()) == (header, codeword)
    read = EncodedImage(strategy, bytes.fromhex(header), (bytes.fromhex(codeword),))
    found = STRATEGIES.load(strategy)().restore(read, TOOLS).tokens
    assert found.grid == TOKENS.grid
    if "level=0" in setting and strategy != "tome":
        most = np.array([31, 31, 15, 7])  # that the planes of each component hold
        near = np.abs(found.values - np.clip(TOKENS.values, -most, most)) < 1
        assert near.all(axis=1).sum() >= (5 if strategy == "divprune" else 18)
