"""What ``ask`` and ``encode`` share: which photo, which strategy with which knobs, which bundle."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.command import positive_int
from heliograph.cli.file_kinds import file_kind, is_picture, is_stream
from heliograph.config import BUNDLE_VARIABLE, FIELD, default_bundle, folder_or_hub_id
from heliograph.errors import (
    BudgetTooSmallError,
    BundleDamagedError,
    MissingExtraError,
    PhotoForbiddenError,
    PhotoMemoryError,
    PhotoMissingError,
    PhotoTooLargeError,
    PhotoUnreadableError,
    UsageError,
)
from heliograph.registry import STRATEGIES

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.bundle import Bundle
    from heliograph.edge.device import Device
    from heliograph.strategies.base import Setting, Strategy

_PHOTO_ERRORS = (
    PhotoMissingError,
    PhotoUnreadableError,
    PhotoTooLargeError,
    PhotoMemoryError,
    PhotoForbiddenError,
    MissingExtraError,
)
BUDGET_KNOB = "max_bytes"


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """PHOTO, --strategy, --setting, --budget and --bundle."""
    parser.add_argument(
        "photo", metavar="PHOTO", type=Path, help="image file (JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, HEIC)"
    )
    parser.add_argument(
        "--strategy",
        metavar="NAME",
        help=f"one of {', '.join(STRATEGIES.names())} (default: the bundle's best codec, meta where it has one)",
    )
    parser.add_argument(
        "--setting", metavar="KNOBS", default="", help="the strategy's knobs, such as size=96,quality=40"
    )
    parser.add_argument(
        "--budget",
        metavar="BYTES",
        type=positive_int,
        help="send at most N payload bytes; a strategy without such a knob takes its largest setting that fits",
    )
    add_bundle_option(parser)


@contextlib.contextmanager
def photo_named(photo: Path) -> Iterator[None]:
    """Errors of the photo say which one it was, and of a file that is no picture what it is instead: that stays on this
    terminal, while the error's text is constant."""
    try:
        yield
    except _PHOTO_ERRORS as error:
        if isinstance(error, PhotoUnreadableError):
            _note_kind(error, photo)
        error.about(photo)
        raise


def _note_kind(error: PhotoUnreadableError, photo: Path) -> None:
    kind = file_kind(photo)
    if is_stream(kind):
        error.noted(f"It is {kind}.").about(photo, "heliograph answer and heliograph inspect read it.")
    elif kind and not is_picture(kind):
        error.noted(f"It is {kind}.").about(photo, "Give a picture.")


def add_bundle_option(parser: argparse.ArgumentParser, *more_names: str) -> None:
    """--bundle alone, under further names where a codec folder does too."""
    what = "bundle or codec folder" if more_names else "bundle folder"
    parser.add_argument(
        "--bundle",
        *more_names,
        dest="bundle",
        metavar="FOLDER",
        type=folder_or_hub_id,
        default=default_bundle(),
        help=f"{what}, a hub id, or field for what assemble field wrote (default: ${BUNDLE_VARIABLE}, else the one of "
        "the reference model)",
    )


def bundle_of_model(arguments: argparse.Namespace) -> Path | None:
    """The bundle that was named, else the field model's own for ``--vlm field`` if it has one; else None."""
    named: Path | None = arguments.bundle
    if named is not None or arguments.model.partition("#")[0] != FIELD:
        return named
    own = folder_or_hub_id(FIELD)
    return own if own.is_dir() else None


def open_bundle(folder: Path | None) -> Bundle:
    """The bundle in ``folder``, or the shipped one.

    Raises:
        BundleDamagedError: none there, or its hashes do not fit.
    """
    from heliograph.codec.bundle import Bundle
    from heliograph.reference.assets import shipped_bundle_folder

    return Bundle.from_pretrained(shipped_bundle_folder() if folder is None else folder)


def open_device(folder: Path | None, name: str | None) -> tuple[Strategy, Device]:
    """The strategy of that name, or the best of the bundle, and a device for it.

    Where the bundle is not needed and none was named, it may be missing.

    Raises:
        UnknownNameError: no such strategy.
        BundleDamagedError: the bundle is needed, or was named, and cannot be used.
    """
    from heliograph.edge.device import Device

    named: Strategy | None = None if name is None else STRATEGIES.load(name)()
    try:
        device = Device(open_bundle(folder))
    except BundleDamagedError:
        if named is None or named.needs_bundle or named.speaks or folder is not None:
            raise
        return named, Device(None)
    return named or STRATEGIES.load(device.preferred_strategy)(), device


def choose_setting(arguments: argparse.Namespace, strategy: Strategy, device: Device) -> Setting:
    """The knobs that --setting and --budget ask for.

    Raises:
        UsageError: unknown knobs.
        BudgetTooSmallError: no setting fits into the budget.
        HeliographError: of the photo, which a budget may have to be tried on.
    """
    from heliograph.strategies.base import parse_setting

    setting = parse_setting(arguments.setting, strategy.default_setting)
    if arguments.budget is None:
        return setting
    if BUDGET_KNOB in strategy.default_setting:
        return setting | {BUDGET_KNOB: arguments.budget}
    if setting:
        raise UsageError().noted(
            f"{strategy.name} with --setting {arguments.setting} has the size that it has: leave out --budget."
        )
    from heliograph.edge.photos.file import load_photo

    return largest_within(strategy, load_photo(arguments.photo), device, arguments.budget, arguments.question)


def largest_within(strategy: Strategy, photo: Image, device: Device, budget: int, question: str = "") -> Setting:
    """The strategy's setting with the largest payload of at most ``budget`` bytes on this photo.

    Raises:
        BudgetTooSmallError: even the smallest is larger.
    """
    streams = ((device.encode(photo, strategy.name, one, None, question), one) for one in strategy.settings())
    sizes = [(stream.payload_bytes, setting) for stream, setting in streams]
    fitting = [one for one in sizes if one[0] <= budget]
    if not fitting:
        smallest = min(size for size, _ in sizes)
        raise BudgetTooSmallError().noted(
            f"--budget {budget}: the smallest setting of {strategy.name} takes {smallest} bytes of this photo; "
            "klt and meta need less."
        )
    return max(fitting, key=lambda one: one[0])[1]
