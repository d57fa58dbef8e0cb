"""The model that answers: the quick path for the family that it knows, the general one for every other."""

from __future__ import annotations

from heliograph.errors import ModelUnsupportedError
from heliograph.registry import MODELS
from heliograph.vlm.causes import reason_of
from heliograph.vlm.checkpoint.loading import load_pretrained, naming
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel


def open_model(name: str, device: str = "cpu") -> TorchModel:
    """Load ``reference``, a folder or a hub id, or what a plug-in of this name makes.

    Raises:
        ModelUnavailableError: nothing loadable there.
        ModelUnsupportedError: its forward makes no visual tokens by ``get_image_features``, or its own processor and
            tower fail on a first prompt, in whichever way.
        PlugInError: it is a plug-in's, which cannot be used.
    """
    if name in MODELS.names():
        made: TorchModel = MODELS.load(name)(name, device)
        return made
    model, processor = load_pretrained(name, device)
    try:
        return VisionLanguageModel(name, model, processor)
    except Exception:  # it knows one family, and a foreign processor can fail in any way on its first prompt
        pass
    with naming(name):
        try:
            return GeneralModel(name, model, processor)
        except ModelUnsupportedError:
            raise
        except Exception as cause:  # foreign code, on its first prompt; the reason goes to the command line
            raise ModelUnsupportedError().noted(f"{reason_of(cause)}.") from cause
