"""Parts of strategies: verified before use, found beside a bundle or in the package, refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import heliograph
from heliograph.codec.bundle import Bundle
from heliograph.codec.parts import CARD, PARTS, Part, find_part, no_parts, write_card
from heliograph.codec.storage import write_arrays
from heliograph.edge.device import AskedDevice, Device
from heliograph.errors import BundleDamagedError, PartMismatchError, PartMissingError, StreamTruncatedError
from heliograph.reasons import BundleFault, FileFault

MODEL = "ab" * 32
SHIPPED = Path(heliograph.__file__).parent / "reference" / PARTS


def made(folder, value=1, model=MODEL):
    write_arrays(folder, "tables", {"rates": 3}, {"borders": np.full((2, 3), value, np.int32)})
    return write_card(folder, ["tables.safetensors"], {"seed": 5}, model)


def test_a_part_is_read_back_with_its_card_and_tables(tmp_path):
    written = made(tmp_path / "bottle")
    part = Part.load("bottle", tmp_path / "bottle")
    facts, arrays = part.tables
    assert (part.card["seed"], part.card["model"], facts) == (5, MODEL, {"rates": 3})
    assert arrays["borders"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert part.identity == written.identity
    assert len(part.identity) == 2


def test_another_file_is_another_identity_and_another_card_is_not(tmp_path):
    one, two = made(tmp_path / "one"), made(tmp_path / "two", value=2)
    again = write_card(tmp_path / "one", ["tables.safetensors"], {"seed": 6}, MODEL)
    assert one.identity == again.identity != two.identity


def test_a_stream_of_another_part_is_refused_before_anything_is_decoded(tmp_path):
    part, other = made(tmp_path / "one"), made(tmp_path / "two", value=2)
    assert part.unwrapped(part.identity + b"rest") == b"rest"
    with pytest.raises(PartMismatchError):
        part.unwrapped(other.identity + b"rest")
    with pytest.raises(StreamTruncatedError):
        part.unwrapped(part.identity[:1])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda card: card.update(format=2), BundleFault.FORMAT),
        (lambda card: card.update(files={}), FileFault.CONTENT),
        (lambda card: card.update(files=["tables.safetensors"]), FileFault.CONTENT),
        (lambda card: card.update(model=None), FileFault.CONTENT),
        (lambda card: card.update(files={"../tables.safetensors": "0" * 64}), BundleFault.NAME),
        (lambda card: card.update(files={CARD: "0" * 64}), BundleFault.NAME),
        (lambda card: card.update(files={"tables.safetensors": 7}), FileFault.CONTENT),
        (lambda card: card.update(files={"tables.safetensors": "0" * 64}), BundleFault.HASH),
        (lambda card: card.update(files={"other.onnx": "0" * 64}), FileFault.MISSING),
        (lambda card: card.update(files={f"file{i}": "0" * 64 for i in range(17)}), BundleFault.TOO_MANY),
    ],
)
def test_a_card_that_promises_something_else_is_refused(change, fault, tmp_path):
    made(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    change(card)
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(BundleDamagedError) as refused:
        Part.load("bottle", tmp_path)
    assert refused.value.fault is fault


def test_a_changed_file_a_link_and_a_missing_network_are_refused(tmp_path):
    part = made(tmp_path / "bottle")
    with pytest.raises(BundleDamagedError) as refused:
        part.network("encoder")
    assert refused.value.fault is BundleFault.UNNAMED
    tables = tmp_path / "bottle" / "tables.safetensors"
    tables.rename(tmp_path / "elsewhere")
    tables.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleDamagedError):
        Part.load("bottle", tmp_path / "bottle")


def test_a_network_that_reads_a_stray_file_is_refused(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="stray.bin"))
    value = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    graph = helper.make_graph([], "g", [], [value], initializer=[tensor])
    (tmp_path / "net.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(BundleDamagedError) as refused:
        write_card(tmp_path, ["net.onnx"], {}, MODEL)
    assert refused.value.fault is BundleFault.EXTERNAL


def test_a_bundles_own_part_is_found_and_one_for_another_model_is_not(tmp_path):
    made(tmp_path / "parts" / "bottle")
    assert find_part("bottle", tmp_path, MODEL).name == "bottle"
    assert find_part("bottle", tmp_path, "").name == "bottle"
    with pytest.raises(PartMissingError) as refused:
        find_part("bottle", tmp_path, "cd" * 32)
    assert "heliograph train strategy bottle" in refused.value.next_step
    with pytest.raises(PartMissingError) as refused:
        find_part("bottles", tmp_path, MODEL)
    assert "heliograph-cloud" in refused.value.next_step


def test_a_device_finds_the_parts_of_its_bundle_and_has_none_without_one(reference_pair, tmp_path):
    for file in reference_pair.bundle.iterdir():
        if file.is_file():
            (tmp_path / file.name).hardlink_to(file)
    bundle = Bundle.load(tmp_path)
    made(tmp_path / "parts" / "bottle", model=bundle.model)
    device = Device(bundle)
    assert AskedDevice(device, "what?").part("bottle") is device.part("bottle")
    with pytest.raises(PartMissingError):
        Device(None).part("bottle")
    with pytest.raises(PartMissingError):
        no_parts("bottle")


@pytest.mark.parametrize("folder", sorted(path.parent for path in SHIPPED.glob(f"*/{CARD}")), ids=lambda one: one.name)
def test_every_shipped_card_says_how_its_part_was_made(folder):
    card = Part.load(folder.name, folder).card
    assert card["strategy"] == folder.name
    assert isinstance(card["seed"], int)
    assert card["minutes"] > 0
    assert card["data"]
    assert card["machine"]
    assert card.get("figures") or card["history"]  # of the end, or of every report on the way there
