"""``heliograph export``: the folder that a device needs, from a model and its codecs, checked before it is written.

::

    model --encoder_export--> graphs in float32, compared with the model --int8?--> onnx_quantise
          codec folders, refused unless fitted on this model -----------------------------+--> parity report --> bundle

The parity check runs what the device will run beside the model itself: an export that does not do what the model does
is refused, not shipped.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.fallback import LEARNED
from heliograph.codec.familiarity import FAMILIARITY, FittedRanges
from heliograph.codec.levels import LEVELS, LevelCurves
from heliograph.codec.manifest import MEASURED
from heliograph.codec.part_copies import copy_parts, parts_beside, parts_named
from heliograph.codec.parts import Part
from heliograph.edge.processor import ANY, PARITY
from heliograph.errors import EncoderNotExportableError, ShapeError, UsageError
from heliograph.training.export.encoder_export import export_frames
from heliograph.training.export.encoder_int8 import encoder_in_int8
from heliograph.training.export.onnx_graphs import export_language_model, prompt_pieces
from heliograph.training.export.parity import measure_parity, sample_photos
from heliograph.training.fitting.fit_codec import fit_codec
from heliograph.training.progress import stage
from heliograph.training.threads import threads_for
from heliograph.types import Reporter
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.codec_folder import card_name, check_fitted_on, public_name
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.opening import open_model
from heliograph.vlm.text_model import TextModel

_MAX_LOCAL_PARAMETERS = 50_000_000  # parameters of a model that answers on a device without being asked for

Size = tuple[int, int]


def export_bundle(
    model_name: str,
    out: Path,
    *,
    codecs: Sequence[str | Path] = (),
    sizes: Sequence[Size] | None = None,
    int8: bool = False,
    profile: str = ANY,
    photos: Path | None = None,
    local: bool | None = None,
    parts: Sequence[Path] = (),
    progress: Reporter = print,
) -> Bundle:
    """Write the bundle of a model.

    Args:
        model_name: ``reference``, a folder or a hub id.
        out: bundle folder.
        codecs: folders or hub ids of fitted codecs of different kinds; none fits ``klt`` on generated scenes.
        sizes: (width, height) in pixels of the frames that the device sends photos in; None for the model's usual ones.
        int8: products of the encoder in eight bits.
        profile: processors that those are for, of :data:`heliograph.edge.processor.PROFILES`.
        photos: folder, zip or list of photos for calibration and the parity report; None takes generated scenes.
        local: also the language model, for answers without the cloud; None where it is small enough.
        parts: folders of trained parts that go along to ``parts/NAME``, before those that lie beside a codec's files.
        progress: receives a line per stage.

    Raises:
        ModelUnavailableError, ModelUnsupportedError: the model cannot be loaded, or has no tap.
        EncoderNotExportableError: it has no exportable tower, or what was exported does not do what it does; with
            ``local`` also where its generation config changes which tokens are generated, as devices do not do that.
        CodecModelMismatchError: a codec was fitted on another model or revision.
        ShapeError: a codec was fitted for other tokens.
        UsageError: two codecs of one kind, sizes that the model does not have, or ``local`` for a family whose language
            model cannot be exported.
        BundleDamagedError: a folder holds no codec, or a part is damaged.
        PartMissingError: a part was made for another model.
    """
    model = open_model(model_name)
    with threads_for(model):
        return _exported(model, out, codecs, sizes, int8, profile, photos, local, parts, progress)


def _exported(
    model: TorchModel,
    out: Path,
    codecs: Sequence[str | Path],
    sizes: Sequence[Size] | None,
    int8: bool,
    profile: str,
    photos: Path | None,
    local: bool | None,
    parts: Sequence[Path],
    progress: Reporter,
) -> Bundle:
    local_text = _local_text(model, local, progress)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        opened = _codecs(model, codecs, work / "codec", progress)
        held = _parts(opened, parts, model_fingerprint(model.name))
        encoder = export_frames(model, work / "encoder", sizes, progress)
        samples = sample_photos(photos)
        method = "float32"
        if int8:
            encoder, method = encoder_in_int8(encoder, work / "int8", [one.photo for one in samples], progress, profile)
        progress("comparing device and model")
        kinds = [codec for one in opened for codec in one.codecs.values()]
        parity = measure_parity(model, encoder, samples, method, kinds, profile, progress)
        for line in parity.text.splitlines():
            progress(line)
        if not parity.passed:
            raise EncoderNotExportableError().noted(f"device and model differ too much: {parity.text.splitlines()[0]}.")
        extra = [*encoder.files[1:], *_cards(opened, work), *_measured(opened, work), parity.write(work / PARITY)]
        if local_text is not None:
            advance = stage(progress, 1, "tracing the language model")
            extra += _local_model(local_text, model, work)
            advance(1)
        bundle = write_bundle(
            out,
            codecs=kinds,
            grid=encoder.grid,
            hidden_size=model.hidden_size,
            model=model_fingerprint(model.name),
            model_name=public_name(model.name),
            preprocessing=encoder.preprocessing,
            encoder=encoder.files[0],
            extra_files=extra,
        )
        copy_parts(held, out)
        return bundle


def _local_text(model: TorchModel, wanted: bool | None, progress: Reporter) -> TextModel | None:
    """The language model, if it goes along; unasked where it is small enough and the device can do what it does.

    Raises:
        UsageError: it is wanted, of a family that cannot be exported.
        EncoderNotExportableError: it is wanted, and its generation config changes tokens, which no device does.
    """
    text = model.text
    if text is None:
        if wanted:
            raise UsageError().noted("the language model of this family cannot go along: leave out --local.")
        return None
    small = sum(parameter.numel() for parameter in model.torch_model.parameters()) <= _MAX_LOCAL_PARAMETERS
    if not (small if wanted is None else wanted):
        return None
    if text.says_likeliest:
        return text
    if wanted:
        raise EncoderNotExportableError().noted(
            "its generation_config.json changes which tokens are generated, which no device does: leave out --local."
        )
    progress("the language model stays in the cloud: its generation_config.json changes which tokens are generated")
    return None


def _codecs(model: TorchModel, folders: Sequence[str | Path], work: Path, progress: Reporter) -> list[Bundle]:
    """The codec folders, each fitted on this model, no two codecs of one kind."""
    opened = [Bundle.from_pretrained(folder) for folder in folders or [fit_codec(model.name, work, progress=progress)]]
    for one in opened:
        check_fitted_on(one, model.name)
    loaded: list[Codec] = [codec for one in opened for codec in one.codecs.values()]
    if any(codec.hidden_size != model.hidden_size for codec in loaded):
        raise ShapeError().noted(
            f"a codec is for tokens of another width than the {model.hidden_size} numbers of {model.name!r}: fit one "
            "for it."
        )
    if len({codec.kind for codec in loaded}) < len(loaded):
        kinds = ", ".join(sorted(codec.kind for codec in loaded))
        raise UsageError().noted(f"a bundle holds one codec of a kind, and these are: {kinds}.")
    return opened


def _parts(opened: Sequence[Bundle], named: Sequence[Path], model: str) -> dict[str, Part]:
    """What is named, and what lies beside the codecs' files and is not named; all of it checked."""
    found: dict[str, Part] = {}
    for one in reversed(opened):
        found |= parts_beside(one.folder, model)
    return found | parts_named(named, model)


def _cards(opened: Sequence[Bundle], work: Path) -> list[Path]:
    """The codecs' model cards, of those that have one."""
    return [
        Path(shutil.copyfile(one.folder / card_name(kind), work / card_name(kind)))
        for one in opened
        for kind in one.codec_kinds
        if (one.folder / card_name(kind)).is_file()
    ]


def _measured(opened: Sequence[Bundle], work: Path) -> list[Path]:
    """What was measured with the codecs; of several, with the one that is taken where none is named."""
    folders = sorted(opened, key=lambda one: one.preferred_codec != LEARNED)
    found = {name: one.file(name) for one in reversed(folders) for name in MEASURED if name in one.file_names}
    known = [one.familiarity for one in folders if one.familiarity is not None]
    if known:  # each codec's own, whichever folder it is in
        FittedRanges({kind: fitted for one in reversed(known) for kind, fitted in one.ranges.items()}).save(
            work / FAMILIARITY
        )
        found[FAMILIARITY] = work / FAMILIARITY
    leveled = [one.levels for one in folders if one.levels is not None]
    if leveled:
        LevelCurves({kind: curve for one in reversed(leveled) for kind, curve in one.curves.items()}).save(
            work / LEVELS
        )
        found[LEVELS] = work / LEVELS
    return list(found.values())


def _local_model(text: TextModel, model: TorchModel, work: Path) -> list[Path]:
    """What a device needs to answer without the cloud."""
    export_language_model(model.torch_model, work / "language_model.onnx")
    model.processor.tokenizer.backend_tokenizer.save(str(work / "tokenizer.json"))
    pieces: Any = prompt_pieces(text.prompts, model.processor, model.torch_model, model.end_ids)
    (work / "local_prompt.json").write_text(json.dumps(pieces, indent=1) + "\n", encoding="utf-8")
    return [work / name for name in ("language_model.onnx", "tokenizer.json", "local_prompt.json")]
