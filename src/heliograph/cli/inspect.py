"""``heliograph inspect``: what a ``.hgs`` file holds, without a model."""

from __future__ import annotations

import argparse
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.cli.answer import answer_differs, matching_bundle
from heliograph.cli.command import EXIT_DONE, Command, say
from heliograph.cli.files import read_file, stream_named
from heliograph.cli.options.key import add_key_option, all_keys
from heliograph.cli.options.photo import add_bundle_option
from heliograph.cli.quality import quality_facts
from heliograph.cli.text import UNFAMILIAR_NOTE, byte_count, table
from heliograph.errors import BundleDamagedError, BundleMismatchError, ShapeError

if TYPE_CHECKING:
    from heliograph.codec.base import Codec
    from heliograph.codec.bundle import Bundle
    from heliograph.types import EncodedImage


_AUTHENTICATION = {
    "right": "yes: authenticated by a key of the key file",
    "not checked": "not checked (give --key-file)",
    "none": "unknown: the file carries no authentication",
}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help=".hgs file, whole or cut")
    add_key_option(parser, "keys in hex, one per line: show only data that one of them authenticates")
    add_bundle_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.codec.container import carries_tags, read_stream
    from heliograph.codec.fallback import stated_likelihood
    from heliograph.codec.familiarity import UNFAMILIAR_BELOW

    keys = all_keys(arguments)
    data = read_file(arguments.file)
    with stream_named(arguments.file, data):
        encoded = read_stream(data, keys)
    facts: dict[str, Any] = {
        "strategy": encoded.strategy,
        "file_bytes": len(data),
        "payload_bytes": encoded.payload_bytes,
        "header": encoded.header.hex(),
        "authentication": ("right" if keys else "not checked") if carries_tags(data) else "none",
        "bundle": encoded.bundle_hash.hex() or None,
    }
    try:
        bundle = matching_bundle(encoded, arguments.bundle)
        facts["bundle_at_hand"] = bundle is not None
    except (BundleDamagedError, BundleMismatchError):
        if arguments.bundle is not None:
            raise
        bundle, facts["bundle_at_hand"] = None, False
    if bundle is not None:
        _check_grid(encoded, bundle)
    facts["grid"] = _grid(encoded, bundle)
    facts["restored"] = quality_facts(encoded, bundle)["restored"]
    facts |= _levels(encoded, bundle)
    facts["likelihood"] = None if bundle is None else stated_likelihood(encoded, bundle.familiarity)
    facts["unfamiliar"] = facts["likelihood"] is not None and facts["likelihood"] < UNFAMILIAR_BELOW
    facts["prefixes"] = prefixes(encoded, bundle)
    say(arguments, _text(facts), facts)
    return EXIT_DONE


def _levels(encoded: EncodedImage, bundle: Bundle | None) -> dict[str, float | None]:
    """How far the whole stream tells the photo, in its codec's unit, and the share of answers that is expected to agree
    there; None where it is not known."""
    from heliograph.codec.levels import expected_agreement

    found = _codec(encoded, bundle)
    if found is None:
        return {"level": None, "agreement": None}
    codec, header = found
    agreement = expected_agreement(codec, header, encoded.segments)
    return {
        "level": codec.level(header, encoded.segments),
        "agreement": None if agreement is None else round(agreement, 4),
    }


def prefixes(encoded: EncodedImage, bundle: Bundle | None) -> list[dict[str, Any]]:
    """One entry per prefix: segments, bytes of the last one, payload bytes so far, predicted quality, chance of error.

    The quality is the share of token energy that the prefix restores, the chance that of another answer than the
    uncompressed one; None where the strategy has none, or where the bundle that the stream was made with is not at
    hand.
    """
    sizes = [len(segment) for segment in encoded.segments]
    ends = list(accumulate(sizes, initial=len(encoded.header)))
    return [
        {
            "segments": count,
            "segment_bytes": sizes[count - 1] if count else 0,
            "payload_bytes": ends[count],
            **_quality(encoded.prefix(count), bundle),
            "answer_differs": answer_differs(encoded.prefix(count), bundle),
        }
        for count in range(len(sizes) + 1)
    ]


def _quality(prefix: EncodedImage, bundle: Bundle | None) -> dict[str, float | None]:
    facts = quality_facts(prefix, bundle)
    return {name: facts[name] for name in ("predicted_quality", "typical_quality")}


def _check_grid(encoded: EncodedImage, bundle: Bundle) -> None:
    """Refuse a grid that devices of this bundle never send, before anything is made of that size.

    Raises:
        ShapeError: see above.
    """
    from heliograph.edge.preprocessing.frames import device_grids

    found = _codec(encoded, bundle)
    known = device_grids(bundle) or {bundle.grid}
    if found is not None and found[0].stated_grid(found[1]) not in known:
        raise ShapeError().noted(
            f"the stream states {found[0].stated_grid(found[1])}, which no photo of this bundle has."
        )


def _grid(encoded: EncodedImage, bundle: Bundle | None) -> dict[str, int] | None:
    """How the tokens lie, from the codec's header."""
    found = _codec(encoded, bundle)
    if found is None:
        return None
    grid = found[0].stated_grid(found[1])
    return {"rows": grid.rows, "columns": grid.columns, "tiles": grid.tiles, "tokens": grid.tokens}


def _codec(encoded: EncodedImage, bundle: Bundle | None) -> tuple[Codec, bytes] | None:
    """The codec that wrote a stream with the header as it wrote it; None where there is none at hand."""
    from heliograph.codec.fallback import written_by  # numpy, which --help does without

    kind, header = written_by(encoded)
    return (bundle.codec(kind), header) if bundle is not None and kind in bundle.codec_kinds else None


def _text(facts: dict[str, Any]) -> str:
    lines = [
        f"strategy  {facts['strategy']}",
        f"file      {byte_count(facts['file_bytes'])}, payload {byte_count(facts['payload_bytes'])}",
        f"header    {facts['header'] or 'empty'}",
    ]
    lines.append(f"authentic {_AUTHENTICATION[facts['authentication']]}")
    if facts["bundle"]:
        lines.append(f"bundle    {facts['bundle']} ({'at hand' if facts['bundle_at_hand'] else 'not at hand'})")
    if facts["grid"]:
        grid = facts["grid"]
        lines.append(f"grid      {grid['tiles']} x {grid['rows']} x {grid['columns']} = {grid['tokens']} visual tokens")
    if facts["restored"] is not None:
        lines.append(f"restored  {facts['restored']:.0%} of what this photo's tokens vary, by the whole stream")
    if facts["level"] is not None:
        agreement = "not measured" if facts["agreement"] is None else f"{facts['agreement']:.1%}"
        lines.append(f"level     {facts['level']}; answers as from uncompressed tokens: {agreement}")
    if facts["unfamiliar"]:
        lines.append(f"caution   {UNFAMILIAR_NOTE}")
    typical = any(one["typical_quality"] is not None for one in facts["prefixes"])
    quality = "typical_quality" if typical else "predicted_quality"
    rows = [
        [
            str(one["segments"]),
            f"{one['segment_bytes']:,}",
            f"{one['payload_bytes']:,}",
            "" if one[quality] is None else f"{one[quality]:.3f}",
            "" if one["answer_differs"] is None else f"{one['answer_differs']:.0%}",
        ]
        for one in facts["prefixes"]
    ]
    head = ["segments", "bytes of the last", "payload bytes", quality.replace("_", " "), "answer differs"]
    return "\n".join([*lines, "", table(head, rows, left=())])


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Show the header of a .hgs file and, for each prefix, its bytes and its predicted quality: the share of token\n"
        "energy that it restores, 0 to 1, as the receiver knows it. meta has its typical quality instead, that of\n"
        "held-out photos, with what the whole stream restores of this photo, and how likely an answer from a prefix\n"
        "is not the one that the uncompressed tokens would give. The level says how far the stream tells the photo:\n"
        "klt in eighth octaves of its finest step, fewer being finer, meta in latents."
    ),
    examples=("heliograph inspect out.hgs", "heliograph inspect out.hgs --json"),
)
