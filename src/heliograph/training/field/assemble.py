"""``heliograph assemble field``: the folder of the field model from installed parts and our alignment, and its bundle.

::

    parts, checked --> LLaVA --> alignment merged --> OUT/model: config.json, model.safetensors (bfloat16), processor
    OUT/model --encoder traced, in eight bits with photos--> OUT/bundle <-- codecs that ship, if they are this model's

Nothing is downloaded, and nothing of the parts is kept elsewhere.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch

from heliograph.codec.bundle import Bundle
from heliograph.edge.processor import ANY
from heliograph.training.field.alignment import SHIPPED, load_alignment, merge
from heliograph.training.field.checkpoint import build_model, build_processor, language_model, read_vision
from heliograph.training.field.parts import MODEL_PARTS, find_parts
from heliograph.training.files import refusals_named
from heliograph.types import Reporter
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.efficientnet_lite import TowerConfig

MODEL, BUNDLE = "model", "bundle"
_CODECS = "codec-*"


def assemble_field(out: Path, alignment: Path, progress: Reporter = print) -> Path:
    """Write the checkpoint.

    Args:
        out: folder, made if absent; a model that is there, and its bundle, give way when the new one is whole.
        alignment: file of :func:`heliograph.training.field.alignment.save_alignment`.
        progress: receives a line per stage.

    Returns:
        The checkpoint's folder, ``out/model``.

    Raises:
        ModelUnavailableError: a part is missing or another one, the alignment is, or the package ``gguf`` is.
        OutputUnwritableError: the disk refuses.
    """
    language_file, vision_file = find_parts(MODEL_PARTS)
    weights = load_alignment(alignment)
    progress("reading the language model")
    language, tokenizer = language_model(language_file)
    tower = TowerConfig(grid=round(len(weights["positions"]) ** 0.5))
    processor = build_processor(tokenizer, tower.image_size, tower.grid)
    model = build_model(language, read_vision(vision_file).tower, processor.image_token_id, tower)
    merge(model, weights)
    progress("writing the model")
    with refusals_named():
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".assembling-") as scratch:
            fresh = Path(scratch) / MODEL
            model.to(torch.bfloat16).save_pretrained(fresh)
            processor.save_pretrained(fresh)
            for old in (MODEL, BUNDLE):  # a bundle of another model would be refused by every cloud
                shutil.rmtree(out / old, ignore_errors=True)
            fresh.rename(out / MODEL)
            model_fingerprint.cache_clear()  # this folder has held another model
    return out / MODEL


def write_field_bundle(
    folder: Path, codecs: Path = SHIPPED, photos: Path | None = None, profile: str = ANY, progress: Reporter = print
) -> Path | None:
    """Write what a device needs beside an assembled model, with the codecs that ship.

    Args:
        folder: that :func:`assemble_field` wrote to.
        codecs: folder whose folders ``codec-*`` hold codecs of one kind each.
        photos: folder, zip or list of photos to calibrate an encoder in eight bits by; without them it is float32.
        profile: processors that eight bits are for, of :data:`heliograph.edge.processor.PROFILES`.
        progress: receives a line per stage.

    Returns:
        ``folder/bundle``; None where the codecs were fitted on another model, as with an alignment of one's own.

    Raises:
        EncoderNotExportableError: in eight bits the tokens differ too much.
        BundleDamagedError: a codec is damaged.
        OutputUnwritableError: the disk refuses.
    """
    from heliograph.training.export.bundle import export_bundle

    model = str(folder / MODEL)
    fitted = [
        one for one in sorted(codecs.glob(_CODECS)) if Bundle.from_pretrained(one).model == model_fingerprint(model)
    ]
    if not fitted:
        return None
    with refusals_named():
        export_bundle(
            model,
            folder / BUNDLE,
            codecs=fitted,
            int8=photos is not None,
            profile=profile,
            photos=photos,
            local=False,
            progress=progress,
        )
    return folder / BUNDLE
