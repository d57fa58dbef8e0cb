"""Says that the reference model is a toy, where it answers."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.cli.command import note
from heliograph.errors import HeliographError

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle
    from heliograph.edge.device import Device
    from heliograph.edge.report import AskReport

_REFERENCE = "reference"


def note_model(arguments: argparse.Namespace, *, is_reference: bool) -> dict[str, Any]:
    """One line on standard error where the reference model answers, and the same for ``--json`` (else None)."""
    from heliograph.reference.assets import MODEL_NOTE

    if is_reference:
        note(arguments, f"heliograph: {MODEL_NOTE}")
    return {"model_note": MODEL_NOTE if is_reference else None}


def is_reference_model(model: str, bundle: Bundle | None = None) -> bool:
    """Whether a model is the shipped one: by its name, or by the fingerprint in the bundle that it is used with.

    Args:
        model: as on the command line.
        bundle: whose codecs were fitted on it.
    """
    return model.partition("#")[0] == _REFERENCE or (bundle is not None and bundle.model == _shipped()[0])


def is_reference_bundle(folder: Path | None) -> bool:
    """The same of a bundle's folder that is not open; False for one on a hub, or without a readable manifest."""
    from heliograph.codec.manifest import read_manifest

    if folder is None:
        return False
    with contextlib.suppress(HeliographError):
        return bool(read_manifest(folder)["model"] == _shipped()[0])
    return False


def reference_answered(report: AskReport, device: Device) -> bool:
    """Whether an answer is the reference model's: the device's own, or that of a cloud that holds its bundle."""
    from heliograph.strategies.selection import LOCAL

    model, shipped_hash = _shipped()
    with contextlib.suppress(HeliographError):  # a device without a bundle knows what the cloud says alone
        mine = device.bundle.hash.hex()
        if device.bundle.model == model and (report.strategy == LOCAL or report.cloud_bundle == mine):
            return True
    return bool(report.cloud_bundle) and report.cloud_bundle == shipped_hash


def _shipped() -> tuple[str | None, str | None]:
    """Fingerprint of the shipped model, and hash of its bundle in hexadecimal; None where neither is shipped."""
    from heliograph.codec.manifest import read_manifest, shared_hash
    from heliograph.reference.assets import shipped_bundle_folder

    with contextlib.suppress(HeliographError):
        manifest = read_manifest(shipped_bundle_folder())
        return str(manifest["model"]), shared_hash(manifest).hex()
    return None, None
