"""What :mod:`.fuzzing` tries: both ends of the wire, every file that a bundle has, every stream.

A target runs one case from a random source. It returns the name of the error that the case was refused with, or None
where it was taken; it may raise a named error itself. Anything else that it raises is a finding.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.bench.hardening.fuzz_cases import (
    ACCESS_TOKEN,
    BUNDLE_HASH,
    asking_device,
    cloud_speech,
    cut_or_mutated,
    device_speech,
    mutated,
    mutated_json,
    mutated_stream,
    one_photo,
    stated_sizes,
)
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.calibration import CALIBRATION, Calibration
from heliograph.codec.container import read_stream, write_stream
from heliograph.codec.header import write_varint
from heliograph.codec.manifest import CURVES, MANIFEST, PREPROCESSING, REGION
from heliograph.codec.onnx_files import NETWORK_SUFFIX, external_files
from heliograph.controllers.curves import Curves
from heliograph.controllers.region.find import RegionSetting
from heliograph.edge.device import Device
from heliograph.edge.local.prompt import PromptPieces
from heliograph.edge.photos.file import load_photo
from heliograph.edge.planning.device_times import DeviceTimes
from heliograph.edge.preprocessing.frames import open_preprocessor
from heliograph.protocol.events import SessionClosed
from heliograph.protocol.limits import MAX_FRAME_BYTES, MAX_OPEN_QUESTIONS
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.reading.json_values import read_json_object
from heliograph.registry import CODECS
from heliograph.strategies.base import Family, Kind, Setting
from heliograph.strategies.selection import strategies_for, strategies_with, strategy_class
from heliograph.transport.links import parse_link
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from heliograph.serving.cloud import Cloud

_PORTION_BYTES = 64 << 10
_PICTURE_SIZE = 64
_TILED_SIDE = 256
_QUESTION = "what colour is it?"
_MAX_JSON_BYTES = 1 << 20
_HEADER_BYTES = 2048

Run = Callable[[random.Random], str | None]


@dataclass(frozen=True)
class Target:
    """One thing to try.

    Attributes:
        name: of the target; part of every case's random source.
        share: of all runs; they are added up.
        run: one case.
    """

    name: str
    share: float
    run: Run


def every_target(folder: Path) -> list[Target]:
    """All of them.

    Args:
        folder: empty; files are written here.

    Raises:
        ModelUnavailableError, BundleDamagedError: the shipped model or bundle is not there.
    """
    from heliograph.reference.assets import shipped_bundle_folder

    bundle = Bundle.load(shipped_bundle_folder())
    streams = reference_streams(bundle)
    return [*wire_targets(), *file_targets(bundle, streams, folder), *cloud_targets(bundle, streams)]


# ---- the wire --------------------------------------------------------------------------------------
def wire_targets() -> list[Target]:
    """Frames into both ends of a session."""
    from_device, from_cloud = device_speech(), cloud_speech()

    def to_cloud(source: random.Random) -> str | None:
        end = CloudSession(BUNDLE_HASH, frozenset({ACCESS_TOKEN}), recall=one_photo)
        return heard(end, mutated(source, from_device))

    def to_device(source: random.Random) -> str | None:
        return heard(asking_device(), mutated(source, from_cloud))

    return [Target("frames to the cloud", 0.42, to_cloud), Target("frames to the device", 0.42, to_device)]


def heard(end: CloudSession | DeviceSession, data: bytes) -> str | None:
    """Feed one case to an end, which must not raise and must stay within its bounds; why it closed, if it did.

    Raises:
        AssertionError: a bound does not hold.
    """
    events = end.receive(data, 0.0)
    closed = [event for event in events if isinstance(event, SessionClosed)]
    if end.held_bytes > MAX_FRAME_BYTES + _PORTION_BYTES or len(end.open_questions) > MAX_OPEN_QUESTIONS:
        raise AssertionError("a session holds more than it may")
    if len(end.bytes_to_send()) > 96 + 4 * len(data):
        raise AssertionError("a session answers with much more than it was sent")
    if bool(closed) != end.closed:
        raise AssertionError("a session that closes says so")
    return "session closed" if closed else None


# ---- files -----------------------------------------------------------------------------------------
def reference_streams(bundle: Bundle) -> dict[str, EncodedImage]:
    """The package's photo, sent in every way that the bundle and this installation have."""
    from heliograph.reference.assets import demo_photo_path

    photo, device = load_photo(demo_photo_path()), Device(bundle)
    found: dict[str, EncodedImage] = {}
    for name in strategies_for(bundle.codec_kinds):
        strategy = strategy_class(name)
        setting: Setting = {"size": _PICTURE_SIZE} if "size" in strategy.default_setting else {}
        if strategy.kind is not Kind.LOCAL:
            found[name] = device.encode(photo, name, setting)
    return found


def file_targets(bundle: Bundle, streams: dict[str, EncodedImage], folder: Path) -> list[Target]:
    """``.hgs`` files, the bundle's JSON, its tables and networks, and the device's own small files."""
    files = [write_stream(one) for one in streams.values()]

    def container(source: random.Random) -> str | None:
        read_stream(cut_or_mutated(source, source.choice(files), source.choice([None, 40])))
        return None

    return [
        Target("stream files", 0.105, container),
        Target("bundle JSON", 0.03, _json_files(bundle, folder)),
        Target("tables", 0.002, _tables(bundle, folder)),
        Target("networks", 0.001, _networks(bundle, folder)),
        Target("link traces", 0.004, _traces(folder)),
    ]


def _json_files(bundle: Bundle, folder: Path) -> Run:
    """Each JSON file of a bundle, changed, through its own loader."""
    small = folder / "bundle"
    write_bundle(small, codecs=[bundle.codec("klt")], grid=bundle.grid, hidden_size=bundle.hidden_size)
    loaders: dict[str, Callable[[Path], object]] = {
        CALIBRATION: Calibration.load,
        CURVES: Curves.load,
        REGION: RegionSetting.load,
        PREPROCESSING: lambda path: open_preprocessor(read_json_object(path, max_bytes=_MAX_JSON_BYTES)),
        "local_prompt.json": PromptPieces.load,
    }
    values = {name: json.loads(bundle.file(name).read_bytes()) for name in loaders if name in bundle.file_names}
    loaders |= {MANIFEST: lambda path: Bundle.load(path.parent), "times.json": DeviceTimes.load}
    values[MANIFEST] = json.loads((small / MANIFEST).read_bytes())
    values["times.json"] = {"format": 1, "ways": {"klt": [0.1, 0.2], "jpeg size=64,quality=30": [0.01]}}

    def run(source: random.Random) -> str | None:
        name = source.choice(sorted(values))
        path = small / name
        path.write_bytes(mutated_json(source, values[name]))
        loaders[name](path)
        return None

    return run


def _tables(bundle: Bundle, folder: Path) -> Run:
    """Each codec's tables, mostly their headers."""
    place = folder / "tables"
    place.mkdir()
    kinds = {
        kind: [name for name in CODECS.load(kind).files if name in bundle.file_names] for kind in bundle.codec_kinds
    }
    for names in kinds.values():
        for name in names:
            shutil.copyfile(bundle.file(name), place / name)

    def run(source: random.Random) -> str | None:
        kind = source.choice(sorted(kinds))
        name = source.choice(kinds[kind])
        near = source.choice([8, _HEADER_BYTES, _HEADER_BYTES, None])
        whole = bundle.file(name).read_bytes()
        try:
            (place / name).write_bytes(cut_or_mutated(source, whole, near))
            CODECS.load(kind).load(place)
        finally:
            (place / name).write_bytes(whole)
        return None

    return run


def _networks(bundle: Bundle, folder: Path) -> Run:
    """The smallest network, looked through for files that it names."""
    networks = [bundle.file(name) for name in bundle.file_names if name.endswith(NETWORK_SUFFIX)]
    whole = min(networks, key=lambda path: path.stat().st_size).read_bytes()
    path = folder / "it.onnx"

    def run(source: random.Random) -> str | None:
        path.write_bytes(cut_or_mutated(source, whole))
        external_files(path)
        return None

    return run


def _traces(folder: Path) -> Run:
    """A measured link, damaged."""
    path = folder / "trace.txt"
    whole = "".join(f"{second} {0.1 * (second % 7):.3f}\n" for second in range(60)).encode()

    def run(source: random.Random) -> str | None:
        path.write_bytes(mutated(source, whole))
        parse_link(str(path))
        return None

    return run


# ---- streams ---------------------------------------------------------------------------------------
def cloud_targets(bundle: Bundle, streams: dict[str, EncodedImage]) -> list[Target]:
    """Streams into a cloud: the reference model's with its one grid, and a model of any family."""
    from heliograph.serving.opening import load_cloud

    fixed = load_cloud("reference", bundle.folder)
    general = _general_cloud(bundle)
    stated = [streams[name] for name in strategies_with(embedded=True) if name in streams]
    every = [streams[name] for name in sorted(streams)]

    def restored(source: random.Random) -> str | None:
        encoded = mutated_stream(source, source.choice(every))
        fixed.restore(encoded)
        fixed.retained_energy(encoded)
        fixed.expect(encoded, _QUESTION)
        return None

    def stated_to_fixed(source: random.Random) -> str | None:
        fixed.restore(_stating(source, source.choice(stated)))
        return None

    def answered(source: random.Random) -> str | None:
        tokens = general.restore_tokens(_stating(source, source.choice(stated)))
        general.model.answer(_QUESTION, [tokens], max_new_tokens=1)
        return None

    return [
        Target("streams", 0.01, restored),
        Target("headers of a fixed model", 0.004, stated_to_fixed),
        Target("headers of a general model", 0.004, answered),
    ]


def _stating(source: random.Random, encoded: EncodedImage) -> EncodedImage:
    """A stream that states any sizes; chosen tokens have their level, and some a number, before the codec's header."""
    made = stated_sizes(source, encoded)
    if strategy_class(encoded.strategy).family is not Family.TOKEN_COMPRESSION:
        return made
    counted = source.random() < 0.5
    lead = bytes((source.randrange(128) | 128 * counted,)) + (
        write_varint(source.randrange(1 << 14)) if counted else b""
    )
    return replace(made, header=lead + made.header)


def _general_cloud(bundle: Bundle) -> Cloud:
    """A cloud whose model takes photos of any size: the reference one, its processor splitting them into tiles."""
    from heliograph.serving.cloud import Cloud as MadeCloud
    from heliograph.vlm.checkpoint.loading import REFERENCE, load_pretrained
    from heliograph.vlm.general import GeneralModel

    model, processor = load_pretrained(REFERENCE)
    processor.image_processor.do_image_splitting = True
    processor.image_processor.size = {"longest_edge": _TILED_SIDE}
    return MadeCloud(GeneralModel(REFERENCE, model, processor), bundle.codecs, bundle.hash)
