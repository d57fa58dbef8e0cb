"""A cloud from names: a model and a bundle, opened and checked against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.controllers.region.find import RegionSetting
from heliograph.edge.preprocessing.frames import device_grids
from heliograph.errors import ModelUnsupportedError
from heliograph.serving.cloud import Cloud

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle
    from heliograph.vlm.contract import AnsweringModel


def load_cloud(model_name: str, bundle_folder: str | Path | None) -> Cloud:
    """Model and bundle, checked against each other.

    Raises:
        ModelUnavailableError, BundleDamagedError: one cannot be loaded.
        CodecModelMismatchError: the bundle's codecs were fitted on another checkpoint.
        ModelUnsupportedError: the bundle was made for a model with other tokens.
    """
    from heliograph.vlm.checkpoint.loading import REFERENCE
    from heliograph.vlm.opening import open_model

    model = open_model(model_name)
    if bundle_folder is None and model_name != REFERENCE:
        return Cloud(model)
    from heliograph.codec.bundle import Bundle

    if bundle_folder is None:
        from heliograph.reference.assets import shipped_bundle_folder

        bundle_folder = shipped_bundle_folder()
    return with_bundle(model, model_name, Bundle.from_pretrained(bundle_folder))


def with_bundle(model: AnsweringModel, model_name: str, bundle: Bundle) -> Cloud:
    """A cloud of a model and a bundle that is open already, checked against each other.

    Raises:
        CodecModelMismatchError: the bundle's codecs were fitted on another checkpoint.
        ModelUnsupportedError: the bundle was made for a model with other tokens, or other attention.
        BundleDamagedError: a file of it cannot be read.
    """
    from heliograph.vlm.codec_folder import check_fitted_on

    check_fitted_on(bundle, model_name)
    if bundle.hidden_size != model.hidden_size:
        raise ModelUnsupportedError().noted(
            f"the codec is for tokens of {bundle.hidden_size} numbers, and this model makes {model.hidden_size}."
        )
    model.expect_photos_like(bundle.grid)
    setting = RegionSetting.of(bundle)
    region_finder = None if setting is None else model.region_finder(setting)
    grids = device_grids(bundle)
    return Cloud(
        model, bundle.codecs, bundle.hash, bundle.calibration, region_finder, grids, bundle.familiarity, bundle.part
    )


def merge_visual_tokens(model: AnsweringModel, count: int) -> None:
    """Have a model's language model read fewer visual tokens of a photo.

    Raises:
        ModelUnsupportedError: it reads all of them, or none at all.
    """
    merge = getattr(model, "merge_visual_tokens", None)
    if merge is None:
        raise ModelUnsupportedError().noted(
            "its language model can be given no fewer visual tokens: leave out --visual-tokens."
        )
    merge(count)
