"""Refusals that need a rare cause: each is brought about once, and names what is wrong."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.klt import KltCodec
from heliograph.codec.network_values import _check, _pieces
from heliograph.codec.onnx_files import StoredWeight, stored_weights
from heliograph.codec.onnx_session import open_session
from heliograph.codec.range_coder import RunEncoder
from heliograph.codec.symbols import SymbolDecoder
from heliograph.errors import BundleDamagedError, MissingExtraError
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.types import Grid


def fault(do: Callable[[], object], part: BundlePart = BundlePart.NETWORK) -> Any:
    with pytest.raises(BundleDamagedError) as found:
        do()
    assert found.value.part is part
    return found.value.fault


# ---- weights of networks ---------------------------------------------------------------------------------------
FORMS: dict[int, Callable[[np.ndarray], bytes]] = {
    1: lambda values: values.astype("<f4").tobytes(),
    10: lambda values: values.astype("<f2").tobytes(),
    11: lambda values: values.astype("<f8").tobytes(),
    16: lambda values: (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes(),
}
"""By the numbers of ``onnx.proto3``: float32, float16, float64 and bfloat16."""


@pytest.mark.parametrize("kind", FORMS)
def test_numbers_of_every_kind_are_read(kind: int) -> None:
    assert {1: "FLOAT", 10: "FLOAT16", 11: "DOUBLE", 16: "BFLOAT16"}[kind] == onnx.TensorProto.DataType.Name(kind)
    values = np.array([1.5, -2.0, 0.25, 96.0])
    data = b"-" * 3 + FORMS[kind](values) + b"-"  # what is left of an item is no number
    (found,) = _pieces(io.BytesIO(data), 3, len(data), kind)
    assert found.tolist() == values.tolist()


def checked(values: list[float], kind: int = 1, count: int | None = None, **place: Any) -> None:
    data = FORMS.get(kind, FORMS[1])(np.array(values))
    where = {"begin": 0, "end": len(data)} | place
    _check(io.BytesIO(data), len(data), StoredWeight(kind, len(values) if count is None else count, "", **where))


@pytest.mark.parametrize("kind", [1, 11, 16])
@pytest.mark.parametrize("sign", [1, -1])
def test_weights_are_below_two_to_the_20(kind: int, sign: int) -> None:
    checked([0.0, sign * (2.0**20 - 2**13)], kind)
    assert fault(lambda: checked([0.0, sign * 2.0**20], kind)) is BundleFault.RANGE
    assert fault(lambda: checked([0.0, sign * np.inf], kind)) is BundleFault.NOT_FINITE


def test_single_values_and_integers_are_passed_over() -> None:
    checked([np.inf], count=1)
    checked([np.inf, np.inf], count=0)
    checked([np.inf, np.inf], kind=7)
    assert fault(lambda: checked([np.inf, np.inf], count=2)) is BundleFault.NOT_FINITE


@pytest.mark.parametrize(("begin", "end"), [(-1, 8), (5, 4), (0, 9), (9, None)])
def test_weights_lie_within_their_file(begin: int, end: int | None) -> None:
    checked([1.0, 1.0], begin=0, end=None)
    checked([1.0, 1.0], begin=8, end=8)
    assert fault(lambda: checked([1.0, 1.0], begin=begin, end=end)) is FileFault.LENGTH


def test_a_file_that_shrinks_while_it_is_read() -> None:
    assert fault(lambda: list(_pieces(io.BytesIO(bytes(7)), 0, 8, 1))) is FileFault.LENGTH


@pytest.mark.parametrize(
    ("key", "within", "beyond"), [("offset", "9" * 19, "9" * 20), ("offset", "0", "-1"), ("length", "4", "four")]
)
def test_places_of_weights_are_whole_numbers(tmp_path: Path, key: str, within: str, beyond: str) -> None:
    def stored(value: str) -> list[StoredWeight]:
        weight = onnx.TensorProto(name="w", data_type=1, dims=[2, 3], data_location=onnx.TensorProto.EXTERNAL)
        for name, one in {"location": "weights", "offset": "2", "length": "3", key: value}.items():
            weight.external_data.add(key=name, value=one)
        graph = onnx.GraphProto(name="g", initializer=[weight])
        (tmp_path / "it.onnx").write_bytes(onnx.ModelProto(graph=graph).SerializeToString())
        return stored_weights(tmp_path / "it.onnx")

    begin, length = (int(within) if key == name else number for name, number in (("offset", 2), ("length", 3)))
    assert stored(within) == [StoredWeight(1, 6, "weights", begin, begin + length)]
    assert fault(lambda: stored(beyond)) is BundleFault.NOT_NETWORK


def test_without_the_runtime_there_is_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError) as found:
        open_session(tmp_path / "it.onnx")
    assert found.value.extra == "edge"


# ---- bundles ---------------------------------------------------------------------------------------------------
def test_a_hub_that_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def download(*_: Any, **__: Any) -> str:
        raise OSError("the connection is gone")

    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    monkeypatch.setattr("heliograph.hub._commit", lambda name, revision: "0" * 40)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fault(lambda: Bundle.from_pretrained("owner/codec"), BundlePart.BUNDLE) is BundleFault.UNREACHABLE


@pytest.mark.parametrize("name", ["manifest.json", "config.json", ".hidden", "two words"])
def test_names_that_a_bundle_does_not_take(codec: KltCodec, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")

    def write() -> object:
        sources = [tmp_path / name]
        return write_bundle(tmp_path / "made", codecs=[codec], grid=Grid(4, 5), hidden_size=12, extra_files=sources)

    assert fault(write, BundlePart.MANIFEST) is BundleFault.NAME
    assert not (tmp_path / "made" / "manifest.json").exists()


# ---- codewords -------------------------------------------------------------------------------------------------
def test_nothing_coded_is_certain_at_once() -> None:
    items, needed = RunEncoder().certain_bytes(RunEncoder().finish())
    assert (items.tolist(), needed.tolist()) == ([], [])


def test_a_number_that_no_encoder_writes_ends_the_symbols() -> None:
    """All ones: after three symbols of 65,533 shares the range is 65,533^3, no multiple of 65,536, and the number lies
    in what is left over."""
    decoder = SymbolDecoder(b"\xff" * 16)
    assert [decoder.decode([0, 3, 65536]) for _ in range(3)] == [1, 1, 1]
    assert not decoder.ended
    assert decoder.decode([0, 65536]) is None
    assert decoder.ended
    assert decoder.decode([0, 65536]) is None
