"""The model that answers: the quick path for the family that it knows, the general one for every other."""

from __future__ import annotations

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.loading import load_pretrained
from heliograph.vlm.model import VisionLanguageModel

AnyModel = VisionLanguageModel | GeneralModel


def open_model(name: str, device: str = "cpu") -> AnyModel:
    """Load ``reference``, a folder or a hub id.

    Raises:
        ModelUnavailableError: nothing loadable there.
        ModelUnsupportedError: its forward makes no visual tokens by ``get_image_features``.
    """
    model, processor = load_pretrained(name, device)
    try:
        return VisionLanguageModel(name, model, processor)
    except ModelUnsupportedError:
        return GeneralModel(name, model, processor)
