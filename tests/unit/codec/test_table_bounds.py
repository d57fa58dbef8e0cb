"""Every bound of the codecs' tables: the last value that is taken, and the first that is not, with the reason.

The files are those of ``tests/support/integer_codec.py`` (``klt``) and the shipped ones (``meta``, ``pq``) with one
value changed; the numbers are written out here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.codec.product import ProductCodec
from heliograph.codec.restoration import Restoration
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.reference.assets import shipped_bundle_folder
from integer_codec import integer_codec

SHIPPED = shipped_bundle_folder()
CODECS = {"klt": KltCodec, "meta_tables": MetaCodec, "pq": ProductCodec}
TABLES, HEAD, RESTORATION = BundlePart.TABLES, BundlePart.ERROR_HEAD, BundlePart.RESTORATION
NAN, INFINITY = float("nan"), float("inf")
BELOW_2_20 = np.nextafter(np.float32(2**20), np.float32(0))
BELOW_2_30 = np.nextafter(np.float32(2**30), np.float32(0))
Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays, dict[str, Any]], object]


@cache
def source(stem: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and facts before the change; ``klt`` has every part that it may have."""
    if stem != "klt":
        return read(SHIPPED / f"{stem}.safetensors")
    codec = integer_codec()
    codec.restoration = Restoration(*(np.ones(shape, np.float32) for shape in ((12, 3), (3,), (5, 15, 4))))
    with TemporaryDirectory() as folder:
        codec.save(Path(folder))
        return read(Path(folder) / "klt.safetensors")


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    with safe_open(path, framework="numpy") as file:
        return load_file(path), json.loads(file.metadata()["heliograph"])


def loaded(stem: str, folder: Path, change: Change) -> Any:
    """The codec of a file with a change."""
    arrays, facts = ({name: deepcopy(one) for name, one in part.items()} for part in source(stem))
    change(arrays, facts)
    stored = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(stored, folder / f"{stem}.safetensors", metadata={"heliograph": json.dumps(facts)})
    if stem == "meta_tables":
        for name in ("meta_encoder.onnx", "meta_decoder.onnx", "meta.safetensors"):
            if not (folder / name).exists():
                (folder / name).write_bytes(b"opened when first used")
    return CODECS[stem].load(folder)


def value(name: str, place: tuple[int, ...], new: float) -> Change:
    def change(arrays: Arrays, facts: dict[str, Any]) -> None:
        arrays[name][place] = new

    return change


def fact(name: str, new: Any) -> Change:
    def change(arrays: Arrays, facts: dict[str, Any]) -> None:
        facts[name] = new

    return change


def without(name: str) -> Change:
    return lambda arrays, facts: (arrays if name in arrays else facts).pop(name)


def cut(name: str, axis: int = 0) -> Change:
    """One row or column less."""

    def change(arrays: Arrays, facts: dict[str, Any]) -> None:
        arrays[name] = np.delete(arrays[name], 0, axis)

    return change


def flat(name: str) -> Change:
    """A number where an array has to be."""

    def change(arrays: Arrays, facts: dict[str, Any]) -> None:
        arrays[name] = arrays[name].reshape(-1)[:1].reshape(())

    return change


FIRST = (0, 0)
# file, array, place, the last value within, the first beyond it
BOUNDS = [
    ("klt", "weights", (0, 0, 0), -32768, -32769),
    ("klt", "weights", (4, 1, 3), 32768, 32769),
    ("klt", "split", (0,), 0, -1),
    ("klt", "split", (4,), 64, 65),
    ("klt", "logit", (0, 0, 0), -768, -769),  # twelve nats
    ("klt", "logit", (4, 1, 127), 768, 769),
    ("klt", "cost", (0,), 1, 0),
    ("klt", "cost", (127,), 20480, 20481),
    ("klt", "chance", (0,), 1, 0),
    ("klt", "chance", (127,), 65535, 65536),
    ("klt", "quiet_mean", (0,), 0, -1),
    ("klt", "quiet_mean", (63,), 1024, 1025),
    ("klt", "quiet_square", (0,), 0, -1),
    ("klt", "quiet_square", (63,), 2**20, 2**20 + 1),
    ("klt", "offset", FIRST, 0, -1),
    ("klt", "offset", (1, 63), 64, 65),
    ("klt", "sign_logit", (0,), -768, -769),
    ("klt", "sign_logit", (8,), 768, 769),
    ("klt", "scale_bin", FIRST, -128, -129),
    ("klt", "scale_bin", (5, 3), 255, 256),
    ("klt", "other_scale_bin", FIRST, -128, -129),
    ("klt", "other_scale_bin", (5, 3), 255, 256),
    ("klt", "skew_bin", FIRST, 0, -1),
    ("klt", "skew_bin", (5, 3), 8, 9),
    ("klt", "active", (0,), 4, 5),
    ("klt", "active", (4,), 1, 0),
    ("klt", "mean", FIRST, BELOW_2_30, 2**30),
    ("klt", "mean", FIRST, -BELOW_2_30, -(2**30)),
    *[("klt", name, FIRST, BELOW_2_20, 2**20) for name in ("forward", "inverse", "grid_forward", "grid_inverse")],
    *[("klt", name, FIRST, -BELOW_2_20, -(2**20)) for name in ("forward", "inverse", "grid_forward", "grid_inverse")],
    ("meta_tables", "retained", (0,), 0, -1),
    ("meta_tables", "retained", (56,), 65536, 65537),
    ("pq", "owner", (0, 0), None, 64),
]


@pytest.mark.parametrize(("stem", "name", "place", "within", "beyond"), BOUNDS)
def test_bounds_of_values(
    tmp_path: Path, stem: str, name: str, place: tuple[int, ...], within: float | None, beyond: float
) -> None:
    if name == "active":  # falling from plane to plane: this one's neighbours follow
        others = slice(place[0] + 1) if beyond > 1 else slice(place[0], None)
        within_change, beyond_change = ((lambda a, f, v=v: a[name].__setitem__(others, v)) for v in (within, beyond))
    else:
        within_change, beyond_change = value(name, place, within or 0), value(name, place, beyond)
    if within is not None:
        loaded(stem, tmp_path, within_change)
    with pytest.raises(BundleDamagedError) as found:
        loaded(stem, tmp_path, beyond_change)
    assert (found.value.part, found.value.fault) == (TABLES, BundleFault.RANGE)


FACTS = [
    ("klt", "step", 2.0**-20, 2.0**-21),
    ("klt", "step", 2.0**20 - 1, 2.0**20),
    ("klt", "grid", [2, 3, 2730, 2**21 - 1, 2**21 - 1], [2, 3, 2731, 0, 0]),
    *[(stem, "grid", [8, 8, 256, 2**21 - 1, 2**21 - 1], [8, 8, 257, 0, 0]) for stem in ("meta_tables", "pq")],
    ("meta_tables", "most_missed", 0.0, -1e-9),
    ("meta_tables", "most_missed", 2.0**20 - 1, 2.0**20),
    ("meta_tables", "hidden_size", 2**18, 2**18 + 1),  # times 64 tokens
    ("meta_tables", "hidden_size", 1, 0),
]


@pytest.mark.parametrize(("stem", "name", "within", "beyond"), FACTS)
def test_bounds_of_facts(tmp_path: Path, stem: str, name: str, within: Any, beyond: Any) -> None:
    loaded(stem, tmp_path, fact(name, within))
    with pytest.raises(BundleDamagedError) as found:
        loaded(stem, tmp_path, fact(name, beyond))
    assert (found.value.part, found.value.fault) == (TABLES, BundleFault.RANGE)


REFUSED = [
    # not finite: of every float, whatever part of the file it belongs to
    *[
        ("klt", value(name, FIRST, bad), TABLES, BundleFault.NOT_FINITE)
        for name in ("mean", "forward", "inverse", "grid_forward", "grid_inverse")
        for bad in (NAN, INFINITY, -INFINITY)
    ],
    *[
        ("klt", value(name, place, bad), RESTORATION, BundleFault.NOT_FINITE)
        for name, place in (
            ("restoration.projection", FIRST),
            ("restoration.phase", (0,)),
            ("restoration.weights", (4, 14, 3)),
        )
        for bad in (NAN, INFINITY)
    ],
    *[
        ("meta_tables", value(name, place, bad), HEAD, BundleFault.NOT_FINITE)
        for name, place in (
            ("hidden_weights", (122, 31)),
            ("hidden_bias", (31,)),
            ("out_weights", (31, 1)),
            ("out_bias", (1,)),
        )
        for bad in (NAN, -INFINITY)
    ],
    *[
        ("pq", value(name, place, NAN), TABLES, BundleFault.NOT_FINITE)
        for name, place in (("mean", FIRST), ("forward", FIRST), ("inverse", FIRST), ("centroids", (3, 255, 46)))
    ],
    ("pq", value("retained", (3,), INFINITY), TABLES, BundleFault.NOT_FINITE),
    # out of range
    *[
        ("meta_tables", value(name, place, 2**20), HEAD, BundleFault.RANGE)
        for name, place in (
            ("hidden_weights", FIRST),
            ("hidden_bias", (0,)),
            ("out_weights", FIRST),
            ("out_bias", (1,)),
        )
    ],
    ("meta_tables", value("borders", (0, 0, 0, 0), -1), TABLES, BundleFault.RANGE),
    ("meta_tables", value("borders", (55, 7, 2, 31), 65537), TABLES, BundleFault.RANGE),
    ("meta_tables", value("borders", (55, 7, 2, 31), 65535), TABLES, BundleFault.RANGE),
    # shapes
    *[
        ("klt", cut(name), TABLES, BundleFault.SHAPE)
        for name in ("weights", "split", "logit", "cost", "chance", "rank", "quiet_mean", "quiet_square", "offset")
    ],
    *[("klt", cut(name, axis), TABLES, BundleFault.SHAPE) for name, axis in (("sign_logit", 0), ("scale_bin", 0))],
    *[
        ("klt", cut("contexts." + name, 3 - (name == "bias")), TABLES, BundleFault.SHAPE)
        for name in ("hidden", "bias", "out")
    ],
    ("klt", cut("contexts.shift", 2), TABLES, BundleFault.SHAPE),
    ("klt", cut("contexts.hidden"), TABLES, BundleFault.SHAPE),
    ("klt", cut("skew_bin", 1), TABLES, BundleFault.SHAPE),
    ("klt", cut("other_scale_bin", 1), TABLES, BundleFault.SHAPE),
    ("klt", cut("mean"), TABLES, BundleFault.SHAPE),
    ("klt", cut("inverse"), TABLES, BundleFault.SHAPE),
    ("klt", cut("grid_forward"), TABLES, BundleFault.SHAPE),
    ("klt", cut("grid_inverse", 1), TABLES, BundleFault.SHAPE),
    ("klt", cut("restoration.projection"), RESTORATION, BundleFault.SHAPE),
    ("klt", cut("restoration.phase"), RESTORATION, BundleFault.SHAPE),
    ("klt", cut("restoration.weights", 2), RESTORATION, BundleFault.SHAPE),
    ("klt", flat("active"), TABLES, BundleFault.SHAPE),
    ("klt", flat("forward"), TABLES, BundleFault.SHAPE),
    ("klt", flat("mean"), TABLES, BundleFault.SHAPE),
    ("klt", flat("restoration.phase"), RESTORATION, BundleFault.SHAPE),
    ("meta_tables", flat("borders"), TABLES, BundleFault.SHAPE),
    ("meta_tables", flat("hidden_bias"), HEAD, BundleFault.SHAPE),
    ("pq", flat("owner"), TABLES, BundleFault.SHAPE),
    ("pq", flat("forward"), TABLES, BundleFault.SHAPE),
    ("klt", fact("grid", [2, 4, 1, 0, 0]), TABLES, BundleFault.SHAPE),
    ("meta_tables", cut("retained"), TABLES, BundleFault.SHAPE),
    ("meta_tables", cut("borders", 3), TABLES, BundleFault.SHAPE),
    ("meta_tables", cut("borders", 2), TABLES, BundleFault.SHAPE),
    ("meta_tables", cut("context_borders"), TABLES, BundleFault.SHAPE),
    ("meta_tables", cut("hidden_weights"), HEAD, BundleFault.SHAPE),
    ("meta_tables", cut("out_weights"), HEAD, BundleFault.SHAPE),
    ("meta_tables", cut("out_bias"), HEAD, BundleFault.SHAPE),
    *[("pq", cut(name), TABLES, BundleFault.SHAPE) for name in ("mean", "inverse", "owner", "centroids", "retained")],
    ("pq", cut("centroids", 1), TABLES, BundleFault.SHAPE),
    # order
    ("klt", value("active", (4,), 4), TABLES, BundleFault.ORDER),
    ("klt", value("rank", (0,), 5), TABLES, BundleFault.ORDER),
    ("meta_tables", value("retained", (1,), 65536), TABLES, BundleFault.ORDER),
    ("meta_tables", value("context_borders", (0, 0), 1000), TABLES, BundleFault.ORDER),
    ("meta_tables", value("borders", (0, 0, 0, 1), 0), TABLES, BundleFault.ORDER),
    ("pq", value("owner", (0, 0), 63), TABLES, BundleFault.ORDER),
    # entries, formats, names
    *[
        ("klt", without(name), TABLES, FileFault.CONTENT)
        for name in ("mean", "cost", "skew_bin", "logit", "sign_logit")
    ],
    ("klt", without("restoration.phase"), RESTORATION, FileFault.CONTENT),
    *[("klt", without("contexts." + name), TABLES, FileFault.CONTENT) for name in ("hidden", "bias", "out", "shift")],
    ("meta_tables", without("borders"), TABLES, FileFault.CONTENT),
    ("meta_tables", without("out_bias"), TABLES, FileFault.CONTENT),
    ("pq", without("owner"), TABLES, FileFault.CONTENT),
    *[(stem, fact("format", 99), TABLES, BundleFault.FORMAT) for stem in CODECS],
    *[("klt", fact("format", other), TABLES, BundleFault.FORMAT) for other in (1, 2, 3, 5, "4", None)],
    *[(stem, fact("kind", "wavelet"), TABLES, BundleFault.FORMAT) for stem in CODECS],
    *[
        (stem, fact("grid", sides), TABLES, FileFault.CONTENT)
        for stem in CODECS
        for sides in ([8, 8], [8, 8, 1, 0], [8, 8, 1, 0, 0, 0], ["8", 8, 1, 0, 0], [8.0, 8, 1, 0, 0], None, 8)
    ],
    *[
        (stem, fact("grid", sides), TABLES, BundleFault.RANGE)
        for stem in CODECS
        for sides in ([-8, -8, 1, 0, 0], [8, 8, 0, 0, 0], [8, 8, 257, 0, 0], [8, 8, 1, -1, 0], [8, 8, 1, 0, 2**21])
    ],
    ("klt", fact("mode", "wavelet"), TABLES, BundleFault.UNKNOWN),
    ("klt", fact("step", "far"), TABLES, FileFault.CONTENT),
    ("klt", without("step"), TABLES, FileFault.CONTENT),
]


@pytest.mark.parametrize(("stem", "change", "part", "fault"), REFUSED)
def test_what_no_fit_writes(tmp_path: Path, stem: str, change: Change, part: BundlePart, fault: Any) -> None:
    with pytest.raises(BundleDamagedError) as found:
        loaded(stem, tmp_path, change)
    assert (found.value.part, found.value.fault) == (part, fault)


def test_one_plane_more_than_there_may_be(tmp_path: Path) -> None:
    """24 planes are taken, 25 are not."""

    def planes(count: int) -> Change:
        def change(arrays: Arrays, facts: dict[str, Any]) -> None:
            by_plane = ("active", "weights", "split", "logit", "restoration.weights")
            for name in (*by_plane, *(name for name in arrays if name.startswith("contexts."))):
                arrays[name] = np.concatenate([arrays[name][:1]] * count)

        return change

    assert loaded("klt", tmp_path, planes(24)).tables.planes == 24
    with pytest.raises(BundleDamagedError) as found:
        loaded("klt", tmp_path, planes(25))
    assert found.value.fault is BundleFault.RANGE


def test_latents_channels_and_reach_are_bounded(tmp_path: Path) -> None:
    """Up to 127 either way: 2 * 127 + 2 borders are taken, two more are not; 256 channels are, 257 are not."""

    def borders(symbols: int, channels: int) -> Change:
        row = np.concatenate([np.arange(symbols), [65536]]).astype(np.int32)

        def change(arrays: Arrays, facts: dict[str, Any]) -> None:
            arrays["borders"] = np.broadcast_to(row, (56, channels, 3, symbols + 1))

        return change

    assert loaded("meta_tables", tmp_path, borders(255, 256)).tables.latents.reach == 127
    for symbols, channels in ((257, 1), (255, 257)):
        with pytest.raises(BundleDamagedError) as found:
            loaded("meta_tables", tmp_path, borders(symbols, channels))
        assert found.value.fault is BundleFault.TOO_MANY
    assert loaded("meta_tables", tmp_path, borders(3, 1)).tables.latents.reach == 1
    with pytest.raises(BundleDamagedError) as found:
        loaded("meta_tables", tmp_path, borders(1, 1))
    assert found.value.fault is BundleFault.SHAPE


@pytest.mark.parametrize("name", ["meta_encoder.onnx", "meta_decoder.onnx", "meta.safetensors"])
def test_networks_that_are_not_there(tmp_path: Path, name: str) -> None:
    loaded("meta_tables", tmp_path, lambda arrays, facts: None)
    (tmp_path / name).unlink()
    with pytest.raises(BundleDamagedError) as found:
        MetaCodec.load(tmp_path)
    assert (found.value.part, found.value.fault) == (BundlePart.NETWORK, FileFault.MISSING)
