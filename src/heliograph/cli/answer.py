"""``heliograph answer``: a question about a ``.hgs`` file, answered in this process."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.answers import say_answer
from heliograph.cli.command import EXIT_DONE, Command, note, whole_number
from heliograph.cli.files import read_file, stream_named
from heliograph.cli.model_note import is_reference_model, note_model
from heliograph.cli.options.key import add_key_option, all_keys
from heliograph.cli.options.photo import add_bundle_option, open_bundle
from heliograph.cli.options.stopping import QUESTION_LENGTH, add_length_option
from heliograph.cli.text import UNFAMILIAR_NOTE, byte_count
from heliograph.config import MODEL_VARIABLE, default_model, named_model
from heliograph.errors import BundleDamagedError, BundleMismatchError, UsageError

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle
    from heliograph.types import Answer, EncodedImage

ONNX, TORCH = "onnx", "torch"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help=".hgs file, whole or cut")
    parser.add_argument("question", metavar="QUESTION", help=QUESTION_LENGTH)
    parser.add_argument("--segments", metavar="K", type=whole_number, help="use the first K segments only")
    add_length_option(parser)
    add_key_option(parser, "keys in hex, one per line: answer only from data that one of them authenticates")
    parser.add_argument(
        "--with",
        dest="runtime",
        choices=(ONNX, TORCH),
        help="onnx: ONNX Runtime runs the bundle's own language model, without torch; torch: PyTorch runs the "
        "checkpoint (default: onnx where the bundle holds the language model of that checkpoint)",
    )
    parser.add_argument(
        "--vlm",
        "--model",
        dest="model",
        metavar="MODEL",
        default=named_model(),
        help="reference, a checkpoint folder or a hub id, as for serve "
        f"(default: ${MODEL_VARIABLE}, else the bundle's own language model, else reference)",
    )
    add_bundle_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.codec.container import carries_tags, read_stream
    from heliograph.codec.familiarity import UNFAMILIAR_BELOW

    keys, data = all_keys(arguments), read_file(arguments.file)
    with stream_named(arguments.file, data):
        encoded = read_stream(data, keys)
    if carries_tags(data) and not keys:
        note(arguments, "the file is authenticated, but nobody checks it without --key-file")
    if arguments.segments is not None:
        encoded = encoded.prefix(arguments.segments)
    bundle = matching_bundle(encoded, arguments.bundle)
    answering = _answering_bundle(arguments, encoded, bundle)
    if answering is None:
        answer = _answer_with_torch(arguments, encoded, bundle)
    else:
        from heliograph.edge.local.answering import answer_stream

        answer = answer_stream(answering, encoded, arguments.question, max_new_tokens=arguments.max_tokens)
    model = arguments.model or ("" if answering is not None else default_model())
    model_note = note_model(arguments, is_reference=is_reference_model(model, answering or bundle))
    from heliograph.edge.device import Device

    device = Device(bundle)
    likelihood, confidence = device.likelihood(encoded), device.confidence(encoded, arguments.question, answer)
    unfamiliar = likelihood is not None and likelihood < UNFAMILIAR_BELOW
    if unfamiliar:
        note(arguments, UNFAMILIAR_NOTE)
    note(
        arguments,
        f"{encoded.strategy}: {byte_count(encoded.payload_bytes)} payload, {len(encoded.segments)} segments, "
        f"confidence {confidence:.0%}",
    )
    photo_seen = len(encoded.segments) > 0
    facts = {
        "answer": answer.text,
        "confidence": confidence,
        "likelihood": likelihood,
        "unfamiliar": unfamiliar,
        "photo_seen": photo_seen,
        "strategy": encoded.strategy,
        "payload_bytes": encoded.payload_bytes,
        "segments": len(encoded.segments),
        "answer_differs": answer_differs(encoded, bundle, arguments.question),
        "runtime": TORCH if answering is None else ONNX,
        **model_note,
    }
    say_answer(arguments, answer.text, facts, photo_seen=photo_seen)
    return EXIT_DONE


def _answering_bundle(arguments: argparse.Namespace, encoded: EncodedImage, bundle: Bundle | None) -> Bundle | None:
    """The bundle whose own language model answers, in ONNX Runtime; None where PyTorch has to.

    Raises:
        UsageError: ONNX Runtime is asked for, and the bundle holds no language model.
        CodecModelMismatchError: it is asked for, and the bundle's language model is not that of the checkpoint.
        ModelUnavailableError: the named checkpoint is gone.
    """
    if arguments.runtime == TORCH:
        return None
    from heliograph.edge.local.answering import answers_alike

    wanted = arguments.runtime == ONNX
    try:
        found = bundle or open_bundle(arguments.bundle)  # a picture needs none, and is answered by the one at hand
    except BundleDamagedError:
        if wanted or arguments.bundle is not None:
            raise
        return None
    if wanted and found.local_model_path is None:
        raise UsageError().noted(
            f"--with onnx: {found.folder} holds no language model: export one with --local, or take --with torch."
        )
    if not (wanted or answers_alike(found, encoded)):
        return None
    return found if _is_of(found, arguments.model, wanted) else None


def _is_of(bundle: Bundle, model: str | None, needed: bool) -> bool:
    """Whether a bundle's language model is that of a checkpoint.

    Raises:
        CodecModelMismatchError: it is not, and is needed.
        ModelUnavailableError: the checkpoint is gone.
    """
    from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
    from heliograph.vlm.codec_folder import check_fitted_on

    if model is None:
        return True
    if needed:
        check_fitted_on(bundle, model)
        return True
    return bundle.model == model_fingerprint(model)


def _answer_with_torch(arguments: argparse.Namespace, encoded: EncodedImage, bundle: Bundle | None) -> Answer:
    from heliograph.serving.cloud import Cloud
    from heliograph.serving.opening import with_bundle
    from heliograph.strategies.words import asked_with
    from heliograph.vlm.opening import open_model  # after what is cheap to refuse

    name = arguments.model or default_model()
    model = open_model(name)
    cloud = Cloud(model) if bundle is None else with_bundle(model, name, bundle)
    text, images = asked_with(arguments.question, [cloud.restore(encoded, arguments.question)])
    return model.answer(text, images, max_new_tokens=arguments.max_tokens)


def answer_differs(prefix: EncodedImage, bundle: Bundle | None, question: str = "") -> float | None:
    """Chance that an answer from this prefix is not that of the uncompressed tokens; None where nothing tells."""
    from heliograph.codec.fallback import written_by

    kind, header = written_by(prefix)
    if bundle is None or kind not in bundle.codec_kinds:
        return None
    expected = bundle.codec(kind).expect(header, prefix.segments, question)
    return None if expected is None else round(expected.answer_differs, 4)


def matching_bundle(encoded: EncodedImage, folder: Path | None) -> Bundle | None:
    """The bundle that a stream was made with; None where it needs none.

    Raises:
        BundleMismatchError: the bundle at hand is another one.
        BundleDamagedError: there is none, or it is damaged.
    """
    if not encoded.bundle_hash:
        return None
    bundle = open_bundle(folder)
    if bundle.hash != encoded.bundle_hash:
        made, here = encoded.bundle_hash.hex(), bundle.hash.hex()
        raise BundleMismatchError().noted(f"The file was made with bundle {made}, and this one is {here}.")
    return bundle


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Answer a question about a .hgs file in this process, without a server. A file that was cut answers from the\n"
        "segments that are whole. Where the bundle holds its language model, nothing but ONNX Runtime is loaded."
    ),
    examples=(
        'heliograph answer out.hgs "how many objects are there?"',
        'heliograph answer out.hgs "what is on the sign?" --segments 6 --json',
    ),
)
