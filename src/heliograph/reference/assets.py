"""Where the shipped reference model, its bundle and the demo photo lie inside the package. Standard library only.

The wheel ``heliograph`` has what a device needs; the model's weights, and the bundle's language model, come from the
wheel ``heliograph-cloud``, into the same folders.
"""

from __future__ import annotations

from pathlib import Path

from heliograph.errors import BundleDamagedError, ModelUnavailableError, PhotoMissingError
from heliograph.reasons import BundlePart, FileFault

DEMO_QUESTION = "describe the picture."

MODEL_NOTE = (
    "the reference model is a toy: it knows generated scenes of coloured shapes and signs alone, so its answers about "
    "real photos mean nothing"
)
"""What whoever gets an answer of the reference model should know."""

_HERE = Path(__file__).parent


def shipped_model_folder() -> Path:
    """Checkpoint folder of the reference model.

    Raises:
        ModelUnavailableError: the wheel ``heliograph-cloud`` is not installed.
    """
    folder = _HERE / "model"
    if not (folder / "config.json").is_file():
        raise ModelUnavailableError().noted(
            "the reference model is in a wheel of its own, which devices do without: pip install heliograph-cloud."
        )
    return folder


def shipped_bundle_folder() -> Path:
    """Bundle folder that belongs to the reference model.

    Raises:
        BundleDamagedError: this copy of the package was built without it.
    """
    folder = _HERE / "bundle"
    if not (folder / "manifest.json").is_file():
        raise BundleDamagedError(BundlePart.BUNDLE, FileFault.MISSING)
    return folder


def demo_photo_path() -> Path:
    """The photo of ``heliograph demo``: a 512 x 512 JPEG of quality 92.

    It shows the scene of seed 8,000,021, of the dev split: no figure is reported on it.

    Raises:
        PhotoMissingError: this copy of the package was built without it.
    """
    path = _HERE / "demo_photo.jpg"
    if not path.is_file():
        raise PhotoMissingError
    return path
