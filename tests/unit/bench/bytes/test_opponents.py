"""Opponents as programs: what they are given and give, what is stripped of their bytes, and how they fail."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from heliograph.bench.bytes.opponents import Opponent, asked, load_opponents, read_answer
from heliograph.codec.klt import KltCodec
from heliograph.errors import DataMissingError
from heliograph.types import VisualTokens

TOOLS = Path(__file__).parents[4] / "tools" / "opponents"

# Gives back coefficients and channel coefficients as they came, and a setting of tokens of its own.
ECHO = """
import json, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
tokens = np.load(folder / "tokens.npy")
assert json.loads((folder / "request.json").read_text()) == {"levels": [8]}
sizes = np.arange(len(tokens)) + 10
np.savez(
    folder / "answer.npz", note=np.array("nothing"),
    **{"qp=3,rdo=0.5/bytes": sizes, "qp=3,rdo=0.5/coefficients": np.load(folder / "coefficients.npy"),
       "qp=4/bytes": sizes, "qp=4/channels": np.load(folder / "channels.npy"),
       "qp=5/bytes": 2 * sizes, "qp=5/tokens": tokens + 1},
)
"""


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def codec(reference_pair: Any) -> KltCodec:
    return KltCodec.load(reference_pair.bundle)


@pytest.fixture(scope="module")
def photos(codec: KltCodec) -> list[VisualTokens]:
    """Tokens that the transform keeps whole: of its own components alone."""
    rng = np.random.default_rng(1)
    spectra = rng.normal(0, 3, (3, 1, codec.grid.tokens, codec.components)).astype(np.float32)
    return [VisualTokens(codec.transform.synthesise(one, codec.grid, True), codec.grid) for one in spectra]


def test_an_opponent_gets_the_photos_and_its_coefficients_become_tokens(
    codec: KltCodec, photos: list[VisualTokens]
) -> None:
    answer = asked(Opponent("echo", (sys.executable, "-c", ECHO), {}), codec, photos, {"levels": [8]})
    assert answer.note == "nothing"
    wanted = np.stack([one.values for one in photos])
    found = {tuple(rate.setting.items()): rate for rate in answer.rates}
    both = found[("qp", 3), ("rdo", 0.5)], found[(("qp", 4),)]
    for rate in both:
        assert rate.payload_bytes.tolist() == [10, 11, 12]
        np.testing.assert_allclose(rate.tokens, wanted, atol=2e-3)
    np.testing.assert_array_equal(found[(("qp", 5),)].tokens, wanted + 1)


def test_an_opponent_that_fails_is_named_with_what_it_wrote(codec: KltCodec, photos: list[VisualTokens]) -> None:
    failing = Opponent("it", (sys.executable, "-c", "raise SystemExit('no such thing')"), {})
    with pytest.raises(DataMissingError, match="opponent it: no such thing"):
        asked(failing, codec, photos, {})
    with pytest.raises(DataMissingError, match="opponent it: its answer"):
        asked(Opponent("it", (sys.executable, "-c", ""), {}), codec, photos, {})
    with pytest.raises(DataMissingError, match="cannot be run"):
        asked(Opponent("it", ("no-such-program-here",), {}), codec, photos, {})


def test_an_answer_about_other_photos_is_refused(codec: KltCodec, tmp_path: Path) -> None:
    shape = (2, codec.grid.tokens, codec.hidden_size)
    np.savez(tmp_path / "answer.npz", **{"qp=1/bytes": np.ones(2), "qp=1/tokens": np.zeros(shape)})
    assert len(read_answer(tmp_path, "it", codec, 2).rates) == 1
    with pytest.raises(DataMissingError, match="other shapes"):
        read_answer(tmp_path, "it", codec, 3)


def test_a_folder_lists_its_opponents(tmp_path: Path) -> None:
    assert load_opponents(tmp_path) == {}
    listed = {"one": {"command": ["a", "b"]}, "two": {"command": ["c"], "environment": {"X": "1"}}}
    (tmp_path / "opponents.json").write_text(json.dumps(listed))
    found = load_opponents(tmp_path)
    assert found == {"one": Opponent("one", ("a", "b"), {}), "two": Opponent("two", ("c",), {"X": "1"})}
    for damaged in ("[", "[]", '{"one": {}}', '{"one": 1}'):
        (tmp_path / "opponents.json").write_text(damaged)
        with pytest.raises(DataMissingError, match="no list"):
            load_opponents(tmp_path)


def test_an_nnc_head_is_stripped_exactly() -> None:
    nnc = tool("klt_nnc").worker()
    bodies = [bytes([1, 7, 7]), bytes([2]), bytes([3]) * 400]
    head = bytes(range(33))
    streams = [nnc.rebuilt(head, body) for body in bodies]
    assert [int.from_bytes(one[18:20], "big") for one in streams] == [len(one) - 18 for one in streams]
    length = nnc.common_head(streams)
    assert length == 33  # sizes differ and are known; the first byte of a body is not
    assert [nnc.rebuilt(streams[1][:length], one[length:]) for one in streams] == streams
    other = streams[0][:25] + b"\xff" + streams[0][26:]
    assert nnc.common_head([*streams, other]) == 25  # what differs is sent


def test_tiles_of_a_picture_come_back_as_coefficients() -> None:
    avif = tool("klt_avif")
    channels = np.random.default_rng(2).integers(-90, 90, (64, 11)).astype(np.float32)
    picture = avif.mosaic(channels, 3)
    assert picture.shape == (24, 24)
    assert picture[9, 17] == 128 + channels[9, 5]  # second row of tiles, third column: component 5, row 1, column 1
    found = avif.coefficients_of(picture, 3, channels.shape)
    np.testing.assert_array_equal(found[:, :9], channels[:, :9])
    assert not found[:, 9:].any()
    np.testing.assert_array_equal(avif.coefficients_of(avif.mosaic(channels, 4), 4, channels.shape), channels)
