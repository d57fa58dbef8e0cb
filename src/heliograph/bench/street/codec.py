"""``python -m heliograph.bench.street.codec``: ``klt``, ``meta`` and a device's bundle for the suite ``street``.

::

    street and flickr-mini's training photos, six views each --encoder--> cells --this alignment--> tokens
    tokens --what the model notices--> klt --its channel transform--> meta, trained for so many minutes
    both codecs, encoder in eight bits --> runs/street/bundle

Held-out photos of ``flickr-mini``, those of ``textvqa-dev`` and the tuning photos of ``street`` are never seen. The
encoder's cells are those that ``heliograph train field`` keeps, if its folder is named: no alignment changes them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.bench.data import data_folder
from heliograph.bench.street.asked import QUESTIONS
from heliograph.bench.street.material import (
    BUNDLE,
    CAPTIONED,
    FOLDER,
    STREET,
    StreetPhotos,
    open_field,
    reader_of,
    tokens_of_cells,
)
from heliograph.bench.street.plan import StreetPlan
from heliograph.bench.street.teacher import FrozenField
from heliograph.codec.bundle import Bundle
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.config import FIELD
from heliograph.errors import BundleDamagedError, CodecModelMismatchError, HeliographError
from heliograph.training.export.bundle import export_bundle
from heliograph.training.field.cells import Encoder
from heliograph.training.field.checkpoint import read_vision
from heliograph.training.field.parts import MODEL_PARTS, find_parts
from heliograph.training.field.photos import Photo, captioned_photos, plain_photos
from heliograph.training.files import refusals_named
from heliograph.training.meta.card import training_facts, write_card
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.error_head import fit_error_head, judge
from heliograph.training.meta.export import export_meta, round_to_shipped
from heliograph.training.meta.loop import MetaRecipe, MetaRun
from heliograph.training.meta.network import MetaSizes
from heliograph.training.meta.start import token_space
from heliograph.training.progress import stage
from heliograph.types import Grid, Reporter, VisualTokens
from heliograph.vlm.codec_folder import check_fitted_on, public_name, save_codec
from heliograph.vlm.contract import TorchModel

KLT, META = KltCodec.kind, MetaCodec.kind
RECIPE = MetaRecipe(report_pictures=12)
_NOTICED = 64  # photos
_KLT_VIEWS = 2  # of each photo: as it is, and its mirror image
_JUDGED = 40  # of the held-back views, asked about
_FEATURES = 96
_SEED = 5


@dataclass(frozen=True)
class Learnt:
    """What codecs are made from.

    Attributes:
        tokens: (I, V, N, D) float16 of the views of I photos, in an order drawn once.
        captions: the first one of each photo; empty where it has none.
    """

    tokens: Tensor
    captions: Sequence[str]


def learnt(model: TorchModel, photos: StreetPhotos, cells: Path, progress: Reporter) -> Learnt:
    """Tokens of the photos that codecs may learn from.

    Args:
        model: the field model.
        photos: all of them.
        cells: folder of ``captioned-cells.npz`` and ``plain-cells.npz``; what is missing in it is made.
        progress: counts photos.

    Raises:
        ModelUnavailableError: the encoder's package is not installed.
        DataMissingError: a photo cannot be read.
        OutputUnwritableError: the disk refuses.
    """
    with refusals_named():
        cells.mkdir(parents=True, exist_ok=True)
    head = read_vision(find_parts(MODEL_PARTS)[1]).classifier
    encoder = Encoder(model.torch_model, model.processor, head)

    def of(every: Sequence[Photo], wanted: Sequence[Photo], name: str) -> Tensor:
        paths = [one.path for one in every]  # all of a folder, as training keeps them
        looked = encoder.look_at(paths, cells / f"{name}-cells.npz", stage(progress, len(paths), "encoding photos"))
        chosen = {one.path for one in wanted}
        return looked.cells[[place for place, path in enumerate(paths) if path in chosen]]

    people, streets = captioned_photos(data_folder(CAPTIONED)), plain_photos(data_folder(STREET) / "photos")
    every = torch.cat([of(people, photos.learnt, "captioned"), of(streets, photos.street, "plain")])  # (I, V, N, 1280)
    captions = [*(one.captions[0] for one in photos.learnt), *("" for _ in photos.street)]
    order = np.random.default_rng(_SEED).permutation(len(every))
    flat = tokens_of_cells(reader_of(model), every[order].flatten(0, 1))
    return Learnt(flat.view(*every.shape[:2], *flat.shape[1:]), [captions[place] for place in order])


def fit(teacher: FrozenField, material: Learnt, grid: Grid, progress: Reporter) -> KltCodec:
    """``klt``, weighted by what the model notices."""
    few = min(_NOTICED, len(material.tokens))
    advance = stage(progress, few, "measuring what the model notices")
    weights = teacher.sensitivity(material.tokens[:few, 0], material.captions[:few], advance)
    views = material.tokens[:, :_KLT_VIEWS].flatten(0, 1).float().numpy()
    sets = [VisualTokens(one, grid) for one in views]
    return fit_klt(sets, sensitivity=weights, count=partial(stage, progress))


def train(
    teacher: FrozenField, material: Learnt, klt: KltCodec, out: Path, minutes: float, model_name: str, **options: Any
) -> MetaCodec:
    """Train ``meta`` and write its codec folder; a run that was stopped goes on.

    Args:
        teacher: the frozen model.
        material: photos.
        klt: fitted on them, for its channel transform.
        out: codec folder.
        minutes: of optimisation, earlier calls included.
        model_name: of the field model.
        options: ``recipe``, ``seed``; ``sizes``, what differs from the defaults; ``progress``, receives lines.

    Raises:
        OutputUnwritableError: the disk refuses.
    """
    progress: Reporter = options.get("progress", print)
    seed, recipe = options.get("seed", 0), options.get("recipe", RECIPE)
    tokens = material.tokens.flatten(0, 1)  # (I * V, N, D)
    asked = teacher.own_answers(
        [VisualTokens(one.float().numpy(), klt.grid) for one in tokens[:_JUDGED]],
        [[one.text for one in QUESTIONS]] * min(_JUDGED, len(tokens)),
    )
    data = MetaData(tokens, [*asked, *([] for _ in range(len(tokens) - len(asked)))], klt.grid)
    space = token_space(klt, tokens, _FEATURES)
    sizes = MetaSizes(klt.grid.rows, klt.grid.columns, int(space.analysis.shape[1]), **options.get("sizes", {}))
    run = MetaRun(teacher, data, space, sizes, recipe, out / "run", seed, progress)
    run.run(minutes)
    round_to_shipped(space, run.encoder, run.decoder)
    judged = judge(teacher, space, run.encoder, run.decoder, run.dev.part(0, min(_JUDGED, len(run.dev))), seed)
    head, trust = fit_error_head(judged, seed)
    with refusals_named():
        codec = export_meta(space, run.encoder, run.decoder, head, run.train, run.dev, out)
        source = {"model": public_name(model_name), "pictures": len(data), "source": "views of street and flickr-mini"}
        write_card(out, training_facts(run, codec, source, trust))
        save_codec(out, codec, codec.grid, model_name)
    return codec


def make(
    model_name: str, out: Path, cells: Path, minutes: float, *, int8: bool = True, progress: Reporter = print
) -> Path:
    """Both codecs and the bundle; what was made for another model is made anew.

    Args:
        model_name: of the field model.
        out: folder of all of it.
        cells: see :func:`learnt`.
        minutes: of training ``meta``, earlier calls included.
        int8: the device's encoder in eight bits.
        progress: receives lines, and counts.

    Raises:
        ModelUnavailableError, ModelUnsupportedError: the field model is not there, or this is another one.
        DataMissingError: photos are not there.
        OutputUnwritableError: the disk refuses.
    """
    model = open_field(model_name)
    teacher = FrozenField(reader_of(model))
    _forget_others(out, model.name)
    photos = StreetPhotos.find(StreetPlan.load().tuning_photos)
    material = learnt(model, photos, cells, progress)
    if (out / KLT / KltCodec.files[0]).is_file():
        klt = KltCodec.load(out / KLT)
    else:
        klt = fit(teacher, material, model.grid, progress)
        with refusals_named():
            save_codec(out / KLT, klt, klt.grid, model.name)
    train(teacher, material, klt, out / META, minutes, model.name, progress=progress)
    with tempfile.TemporaryDirectory(dir=out, prefix=".exporting-") as scratch:
        fresh = Path(scratch) / BUNDLE
        export_bundle(
            model.name,
            fresh,
            codecs=[out / KLT, out / META],
            int8=int8,
            photos=data_folder(STREET) / "photos",
            local=False,
            progress=progress,
        )
        shutil.rmtree(out / BUNDLE, ignore_errors=True)
        fresh.rename(out / BUNDLE)
    return out / BUNDLE


def _forget_others(out: Path, model_name: str) -> None:
    """Empties the folder of what was made for another model."""
    if not (out / KLT).is_dir():
        return
    try:
        check_fitted_on(Bundle.from_pretrained(out / KLT), model_name)
    except (BundleDamagedError, CodecModelMismatchError):
        for name in (KLT, META, BUNDLE):
            shutil.rmtree(out / name, ignore_errors=True)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vlm", default=FIELD, help="field model (default: where heliograph assemble field writes it)")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--cells", type=Path, help="folder of heliograph train field (default: that of --out)")
    parser.add_argument("--minutes", type=float, default=6.0, help="of training meta (default: %(default)g)")
    parser.add_argument("--float32", action="store_true", help="the device's encoder in float32: what eight bits cost")
    arguments = parser.parse_args()
    cells = arguments.cells or arguments.out
    try:
        made = make(arguments.vlm, arguments.out, cells, arguments.minutes, int8=not arguments.float32)
    except HeliographError as error:
        notes = getattr(error, "__notes__", ())
        print(*filter(None, (error.subject, error.text, *notes, error.next_step)), file=sys.stderr, sep="\n")
        return 2
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
