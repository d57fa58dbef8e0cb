"""Bottlenecks and necks with the shipped parts: over the wire, as light as promised, refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.bench.families.work import bottleneck_macs, bottlenecks, reference_work
from heliograph.codec.bundle import Bundle
from heliograph.codec.parts import Part
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.errors import PartMismatchError, PartMissingError
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.serving.cloud import Cloud
from heliograph.strategies.towers import BlockUnits
from heliograph.testing import ask_in_process
from processes import run_python

BOTTLENECKS = bottlenecks()
QUESTION = "what is left of the orange ring?"

DEVICE = """
import sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
device = Device(Bundle.load(shipped_bundle_folder()))
device.encode_tokens = None
print(device.encode(load_photo(demo_photo_path()), sys.argv[1]).payload_bytes)
"""


@pytest.mark.parametrize("name", BOTTLENECKS)
def test_it_answers_over_the_wire(name: str) -> None:
    report = ask_in_process(QUESTION, strategy=name, setting={"rate": 5})
    plain = ask_in_process(QUESTION, strategy="int8")
    assert report.answer == plain.answer == "cross"
    assert 50 < report.payload_bytes < plain.payload_bytes / 5


@pytest.mark.parametrize("name", BOTTLENECKS)
def test_a_device_encodes_without_tower_and_torch(name: str) -> None:
    assert int(run_python("-c", DEVICE, name).stdout) > 50


def test_the_shipped_parts_take_a_tenth_of_the_towers_work() -> None:
    work = reference_work()
    found, tower = bottleneck_macs(Bundle.load(shipped_bundle_folder()).part, work.shape), work.tower
    assert found.keys() == set(BOTTLENECKS)
    assert all(0.06 < device / tower < 0.1 for device, _ in found.values())
    left_over = work.shape.left_over([BlockUnits(1, 1)] * 2 + [BlockUnits(0, 0)] * 4)
    assert all(left_over < found[name][1] < tower for name in ("latent-neck", "feature-adapt"))


@pytest.mark.parametrize("name", BOTTLENECKS)
def test_finer_rates_come_nearer_to_the_towers_tokens(name: str, shared_cloud: Cloud) -> None:
    bundle = Bundle.load(shipped_bundle_folder())
    device, photo = Device(bundle), load_photo(demo_photo_path())
    wanted = device.encode_tokens(photo).values
    errors, sizes = [], []
    for rate in range(6):
        encoded = device.encode(photo, name, {"rate": rate})
        errors.append(float(np.square(shared_cloud.restore_tokens(encoded).values - wanted).mean()))
        sizes.append(encoded.payload_bytes)
    assert sizes == sorted(sizes)
    assert errors[0] > errors[2] > errors[5]


def test_another_part_and_none_are_refused_by_name(shared_cloud: Cloud) -> None:
    bundle = Bundle.load(shipped_bundle_folder())
    encoded: Any = Device(bundle).encode(load_photo(demo_photo_path()), "frankensplit")
    other: Part = bundle.part("entropic-student")
    with pytest.raises(PartMismatchError):
        Cloud(shared_cloud.model, bundle.codecs, bundle.hash, parts=lambda name: other).restore(encoded)
    with pytest.raises(PartMissingError):
        Cloud(shared_cloud.model, bundle.codecs, bundle.hash).restore(encoded)
