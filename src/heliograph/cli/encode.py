"""``heliograph encode``: a photo as a ``.hgs`` stream file, to store and forward."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, note, say
from heliograph.cli.files import write_file
from heliograph.cli.options.key import add_key_option, first_key
from heliograph.cli.options.photo import add_photo_options, choose_setting, open_device, photo_named
from heliograph.cli.quality import quality_facts
from heliograph.cli.text import UNFAMILIAR_NOTE, byte_count
from heliograph.errors import UsageError


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_photo_options(parser)
    parser.add_argument(
        "--question",
        metavar="TEXT",
        default="",
        help="what the photo will be asked, for strategies whose setting says guide=question (default: nothing)",
    )
    add_key_option(parser, "key in hex: the file is authenticated, and answered from by whoever holds the key too")
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="file to write, such as out.hgs")


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.codec.container import write_stream
    from heliograph.codec.familiarity import UNFAMILIAR_BELOW
    from heliograph.edge.photos.file import read_photo
    from heliograph.question import check_text
    from heliograph.strategies.base import Kind, label
    from heliograph.strategies.selection import kind_of

    if arguments.question:
        check_text(arguments.question)
    named = arguments.strategy
    if named is not None and kind_of(named) is Kind.LOCAL:
        raise UsageError().noted(f"--strategy {named} sends nothing, so there is nothing to store: choose another one.")

    key = first_key(arguments)
    strategy, device = open_device(arguments.bundle, arguments.strategy)
    with photo_named(arguments.photo):
        setting = strategy.complete_setting(choose_setting(arguments, strategy, device))
        photo = read_photo(arguments.photo)
    encoded = device.encode(photo.image, strategy.name, setting, None, arguments.question)
    data = write_stream(encoded, key)
    write_file(arguments.out, data)
    for line in photo.notes:
        note(arguments, line)
    text = (
        f"{strategy.name} ({label(setting)}): {byte_count(encoded.payload_bytes)} payload in "
        f"{len(encoded.segments)} segments, {byte_count(len(data))} in the file"
    )
    likelihood = device.likelihood(encoded)
    if likelihood is not None and likelihood < UNFAMILIAR_BELOW:
        note(arguments, UNFAMILIAR_NOTE)
    facts = {
        "strategy": strategy.name,
        "setting": setting,
        "payload_bytes": encoded.payload_bytes,
        "segments": len(encoded.segments),
        "file_bytes": len(data),
        "authenticated": key != b"",
        **quality_facts(encoded, None if not encoded.bundle_hash else device.bundle),
        "photo_notes": photo.notes,
    }
    say(arguments, text, facts)
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Write a photo as a stream file. Every cut of a klt or meta file behind its table of contents still\n"
        "answers, with fewer details; heliograph inspect says how many."
    ),
    examples=(
        "heliograph encode photo.jpg -o out.hgs",
        "heliograph encode photo.jpg -o out.hgs --budget 120",
        "heliograph encode photo.jpg -o out.hgs --strategy avif --setting size=96,quality=50 --json",
    ),
)
