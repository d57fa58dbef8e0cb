"""Which processors cut sums of bytes off, as their systems describe them, and which bundles suit them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.manifest import ENCODER
from heliograph.edge import processor as module
from heliograph.edge.device import Device
from heliograph.edge.processor import ANY, ARM, PARITY, VNNI, Processor, described, encoder_profile, unsuited
from heliograph.errors import BundleDamagedError
from heliograph.reference.assets import shipped_bundle_folder

WITHOUT, WITH = Processor("x86_64", frozenset()), Processor("x86_64", frozenset({"avx512_vnni"}))


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "saturates"),
    [
        ("x86_64", "processor\t: 0\nflags\t\t: fpu avx2 avx512bw\n\nprocessor : 1\nflags : fpu avx2 avx512bw\n", True),
        ("x86_64", "flags : avx2 avx512_vnni amx_int8\n", False),
        ("amd64", "flags : avx2 avx_vnni\n", False),
        ("x86_64", "flags : avx2 avx_vnni\nflags : avx2\n", True),  # the scheduler may take either core
        ("x86_64", "", True),  # nobody knows: better safe
        ("x86_64", "model name : avx_vnni\n", True),
        ("aarch64", "Features\t: fp asimd asimddp i8mm\n", False),
        ("aarch64", "Features\t: fp asimd\n", False),
        ("arm64", "", False),
    ],
)
def test_processors(machine: str, cpuinfo: str, saturates: bool) -> None:
    found = described(machine, cpuinfo)
    assert found.saturates is saturates
    assert machine in found.text
    assert ("saturate" in found.text) is saturates
    assert ("exact" in found.text) is not saturates


@pytest.mark.parametrize(
    ("processor", "text"),
    [
        (Processor("aarch64", None), "aarch64 (no dot products known of): sums of eight-bit products are exact"),
        (
            Processor("arm64", frozenset({"i8mm", "asimddp"})),
            "arm64 (asimddp, i8mm): sums of eight-bit products are exact",
        ),
        (
            Processor("x86_64", frozenset({"avx_vnni", "avx512_vnni"})),
            "x86_64 with avx512_vnni, avx_vnni: sums of eight-bit products are exact",
        ),
        (
            Processor("x86_64", frozenset()),
            "x86_64 without VNNI: sums of eight-bit products saturate where weights go beyond 63",
        ),
        (
            Processor("i386", None),
            "i386 (VNNI not known of): sums of eight-bit products saturate where weights go beyond 63",
        ),
    ],
)
def test_a_line_for_people(processor: Processor, text: str) -> None:
    assert processor.text == text


@pytest.mark.parametrize(("mebibytes", "more", "known"), [(16, 0, True), (16, 1, False)])
def test_a_description_has_sixteen_mebibytes_at_most(
    mebibytes: int, more: int, known: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    head = b"flags : avx2 avx_vnni\n"
    (tmp_path / "cpuinfo").write_bytes(head + bytes((mebibytes << 20) + more - len(head)))
    module.this_processor.cache_clear()
    monkeypatch.setattr(module, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(module.platform, "machine", lambda: "AMD64")
    assert module.this_processor() == Processor("amd64", frozenset({"avx_vnni"}) if known else None)
    module.this_processor.cache_clear()


@pytest.mark.parametrize(("size", "read"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_what_a_bundle_says_of_its_encoder_has_a_mebibyte_at_most(size: int, read: bool, tmp_path: Path) -> None:
    (tmp_path / PARITY).write_text(json.dumps({"encoder": "dynamic int8", "profile": ARM}).ljust(size))
    bundle: Any = SimpleNamespace(file_names={PARITY}, file=tmp_path.joinpath)
    if read:
        assert encoder_profile(bundle) == ARM
        assert unsuited(bundle, WITHOUT) == (
            "the bundle's encoder was made for arm, and this processor is x86 without VNNI: its tokens are less exact "
            "than parity.json says; export with --int8 --device-profile any"
        )
    else:
        with pytest.raises(BundleDamagedError):
            encoder_profile(bundle)


def test_this_machine_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert module.this_processor().text
    module.this_processor.cache_clear()
    monkeypatch.setattr(module, "_CPUINFO", tmp_path / "nothing")
    monkeypatch.setattr(module.platform, "machine", lambda: "AMD64")
    assert module.this_processor() == Processor("amd64", None)
    assert module.this_processor().saturates
    module.this_processor.cache_clear()


def bundle_that_says(folder: Path, stated: Any) -> Bundle:
    shipped = Bundle.load(shipped_bundle_folder())
    folder.mkdir()
    (folder / PARITY).write_text(stated if isinstance(stated, str) else json.dumps(stated))
    return write_bundle(
        folder / "bundle",
        codecs=list(shipped.codecs.values()),
        grid=shipped.grid,
        hidden_size=shipped.hidden_size,
        preprocessing=shipped.preprocessing,
        encoder=shipped.file(ENCODER),
        extra_files=[folder / PARITY],
    )


@pytest.mark.parametrize(
    ("stated", "profile", "warned"),
    [
        ({"encoder": "float32"}, None, False),
        ({"encoder": "float32", "profile": None}, None, False),
        ({"encoder": "dynamic int8", "profile": ANY}, ANY, False),
        ({"encoder": "smoothed static int8", "profile": VNNI}, VNNI, True),
        ({"encoder": "dynamic int8", "profile": ARM}, ARM, True),
        ({"encoder": "dynamic int8"}, VNNI, True),  # from before there were profiles: weights up to 127
    ],
)
def test_a_bundle_that_does_not_suit_is_said(
    stated: dict[str, Any],
    profile: str | None,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from heliograph.cli.doctor import checks as doctor
    from heliograph.reference.render import render_scene

    bundle = bundle_that_says(tmp_path / "x", stated)
    assert encoder_profile(bundle) == profile
    assert bool(unsuited(bundle, WITHOUT)) is warned
    assert unsuited(bundle, WITH) is None
    assert unsuited(bundle, Processor("aarch64", frozenset())) is None
    monkeypatch.setattr(module, "this_processor", lambda: WITHOUT)
    with caplog.at_level(logging.WARNING, logger="heliograph"):
        device = Device(bundle)
        for seed in (1, 2):
            device.encode_tokens(render_scene(seed).image)
    assert [record.name for record in caplog.records] == ["heliograph.edge.device"] * warned  # once
    check = doctor.check_encoder(bundle.folder)
    assert (check.status, check.needed) == (doctor.BROKEN if warned else doctor.OK, False)


@pytest.mark.parametrize(
    "stated",
    ["no json", "[]", "{}", {"encoder": "dynamic int8", "profile": "sparc"}, {"encoder": "int8", "profile": []}],
)
def test_nonsense_is_named(stated: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleDamagedError):
        encoder_profile(bundle_that_says(tmp_path / "x", stated))


def test_a_bundle_without_a_report_is_taken_as_it_is(tmp_path: Path) -> None:
    shipped = Bundle.load(shipped_bundle_folder())
    folder = tmp_path / "codec"
    shipped.save_pretrained(folder)
    assert encoder_profile(Bundle.load(folder)) is None
