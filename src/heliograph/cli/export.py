"""``heliograph export``: the bundle that a device needs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, pixel_size, say
from heliograph.cli.files import make_folder
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import byte_count, printable, table
from heliograph.config import folder_or_hub_id
from heliograph.edge.processor import ANY, PARITY, PROFILES


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--codec",
        metavar="DIR",
        type=folder_or_hub_id,
        action="append",
        default=[],
        help="codec folder written by fit, or a hub id; may be repeated, once per kind (default: fit klt on scenes)",
    )
    add_model_option(parser)
    parser.add_argument(
        "--size",
        metavar="WxH",
        type=pixel_size,
        action="append",
        help="pixels of a frame that photos are sent in, the nearest shape of several; for models that take many sizes "
        "(default: 640x480, 480x640 and a square, or the model's one size)",
    )
    parser.add_argument(
        "--int8", action="store_true", help="matrix products of the encoder in eight bits: smaller and faster"
    )
    parser.add_argument(
        "--device-profile",
        choices=PROFILES,
        default=ANY,
        help="with --int8: processors of the devices; any keeps weights so small that sums of products saturate "
        "nowhere, vnni (x86 that has it) and arm are a little more exact (default: any)",
    )
    parser.add_argument(
        "--photos",
        metavar="PATH",
        type=Path,
        help="folder, .zip or .txt list of photos for calibration and the parity report (default: generated scenes)",
    )
    parser.add_argument(
        "--parts",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="folder that train strategy wrote, copied to parts/NAME of the bundle; may be repeated (parts that lie "
        "beside a codec's files go along unasked)",
    )
    parser.add_argument(
        "--local",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="add the language model, for answers without the cloud (default: where it is small)",
    )


def _run(arguments: argparse.Namespace) -> int:
    out = make_folder(arguments.out)
    from heliograph.codec.parts import PARTS
    from heliograph.training.export.bundle import export_bundle
    from heliograph.training.progress import Progress

    with Progress(arguments.json, printable) as progress:
        bundle = export_bundle(
            arguments.model,
            out,
            codecs=arguments.codec,
            sizes=arguments.size,
            int8=arguments.int8,
            profile=arguments.device_profile,
            photos=arguments.photos,
            local=arguments.local,
            parts=arguments.parts,
            progress=progress,
        )
    parity = json.loads((out / PARITY).read_text(encoding="utf-8"))
    files = {path.name: path.stat().st_size for path in sorted(out.iterdir()) if path.is_file()}
    parts = sorted(path.name for path in (out / PARTS).glob("*"))
    facts = {
        "bundle": str(out),
        "hash": bundle.hash.hex(),
        "tokens": bundle.grid.tokens,
        "hidden_size": bundle.hidden_size,
        "files": files,
        "parts": parts,
        "parity": parity,
    }
    rows = [[printable(name), byte_count(size)] for name, size in files.items()]
    rows += [[printable(f"{PARTS}/{name}"), byte_count(_size(out / PARTS / name))] for name in parts]
    tokens = f"{bundle.grid.tokens} x {bundle.hidden_size} visual tokens"
    say(arguments, f"{table(['file', 'size'], rows)}\n\nbundle {bundle.hash.hex()}, {tokens}", facts)
    return EXIT_DONE


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Write encoder, codec, preprocessing and local model of a VLM into one folder whose manifest holds their\n"
        "hashes. What the device will run is compared with the model first (parity.json): an encoder that does not do\n"
        "what the model does is refused."
    ),
    examples=(
        "heliograph export --out bundle",
        "heliograph export --out bundle --vlm runs/train/model --codec runs/codec",
        "heliograph export --out bundle --codec runs/codec --codec runs/meta",
        "heliograph export --out bundle --vlm path/to/checkpoint --codec codec --int8 --photos photos --size 640x480",
        "heliograph export --out bundle --int8 --device-profile vnni",
        "heliograph export --out bundle --vlm path/to/checkpoint --codec codec --parts runs/dynamicvit",
    ),
)
