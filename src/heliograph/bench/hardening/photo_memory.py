"""Peak memory and time of a device process for each of some sixty odd photo files.

Run as ``python -m heliograph.bench.hardening.photo_memory [FOLDER]``: makes the files that are not there, then
measures each in a fresh process: import, bundle, reading the photo, encoding it with the bundle's codec.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph.bench.hardening.photo_files import SMALL, OddPhoto, odd_photos
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.strategies.selection import strategies_with
from heliograph.types import Reporter

_TIMEOUT_S = 600

_PROGRAM = """
import json, sys, time
from pathlib import Path
from heliograph.bench.device.process import peak_memory_mb
from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.photos.file import read_photo
from heliograph.errors import HeliographError
bundle, strategy, *photos = sys.argv[1:]
device = Device(Bundle.load(Path(bundle)))
for photo in photos:
    found = {"error": None, "size": None, "read_s": 0.0}
    started = time.process_time()
    try:
        picture = read_photo(photo).image
        found["read_s"] = time.process_time() - started
        device.encode(picture, strategy)
        found["size"] = picture.size
        del picture
    except HeliographError as error:
        found["error"] = error.name
print(json.dumps(found | {"peak_mb": peak_memory_mb()}))
"""


@dataclass(frozen=True)
class PhotoMemory:
    """One file in a device process.

    Attributes:
        name: of the file.
        peak_mb: largest resident memory of the whole process (MiB).
        read_s: processor seconds to read the photo.
        size: width and height of the photo as it is used; None where it was refused.
        error: name of the error that refused it.
    """

    name: str
    peak_mb: float
    read_s: float
    size: tuple[int, int] | None
    error: str | None


def photo_memory(
    folder: Path,
    photos: Sequence[OddPhoto] | None = None,
    *,
    strategy: str = "klt",
    warm: bool = False,
    progress: Reporter = lambda line: None,
) -> Iterator[PhotoMemory]:
    """Every file's peak, in the order of the list.

    Args:
        folder: where the files are, or are made.
        photos: None for all.
        strategy: what the photo is encoded with.
        warm: read and encode the usual photo first, in the same process.
        progress: called with every file that is made.
    """
    chosen = odd_photos() if photos is None else photos
    made = folder / SMALL
    for photo in chosen:
        path = folder / photo.name
        if not path.exists():
            progress(f"making {photo.name}")
            _make(photo, path)
        yield _measured(path, strategy, made if warm else None)


def worst(found: Sequence[PhotoMemory]) -> tuple[PhotoMemory, float]:
    """The accepted file with the largest peak, and its ratio to the usual photo's."""
    accepted = [one for one in found if one.error is None]
    largest = max(accepted, key=lambda one: one.peak_mb)
    usual = next(one for one in accepted if one.name == SMALL)
    return largest, largest.peak_mb / usual.peak_mb


def _make(photo: OddPhoto, path: Path) -> None:
    partial = path.with_name(f".{path.name}")
    photo.write(partial)
    partial.replace(path)


def _measured(path: Path, strategy: str, before: Path | None) -> PhotoMemory:
    photos = [str(one) for one in (before, path) if one is not None]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(shipped_bundle_folder()), strategy, *photos],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    size = None if found["size"] is None else (found["size"][0], found["size"][1])
    return PhotoMemory(path.name, found["peak_mb"], found["read_s"], size, found["error"])


def main(arguments: Sequence[str]) -> None:
    """Print the table, one strategy after the other."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(arguments[0]) if arguments else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for strategy in strategies_with(embedded=True):
            print(f"{strategy:40} peak MiB  read s  used as", flush=True)
            found = []
            for one in photo_memory(folder, strategy=strategy, progress=lambda line: print(line, file=sys.stderr)):
                found.append(one)
                shown = one.error if one.size is None else "{} x {}".format(*one.size)
                print(f"{one.name:40} {one.peak_mb:8.1f} {one.read_s:7.2f}  {shown}", flush=True)
            largest, ratio = worst(found)
            print(f"worst accepted of {len(found)}: {largest.name}, {largest.peak_mb:.1f} MiB, {ratio:.2f} x {SMALL}")


if __name__ == "__main__":
    main(sys.argv[1:])
