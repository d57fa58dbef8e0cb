"""``heliograph serve``: the cloud."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.command import EXIT_DONE, Command, needs, note, port, positive_int, warn
from heliograph.cli.model_note import is_reference_bundle, is_reference_model, note_model
from heliograph.cli.options.key import add_key_option, warn_of_exposed_key
from heliograph.cli.options.limits import add_limit_options, chosen_limits
from heliograph.cli.options.photo import add_bundle_option, bundle_of_model
from heliograph.cli.options.trace import CLOUD, add_trace_options, trace_sink
from heliograph.cli.text import printable
from heliograph.config import DEFAULT_HOST, DEFAULT_PORT, MODEL_VARIABLE, default_model, write_private
from heliograph.errors import UsageError

if TYPE_CHECKING:
    from heliograph.serving.web.identity import Identity

EVERY_ADDRESS = "0.0.0.0"

log = logging.getLogger(__name__)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--public",
        action="store_true",
        help="let other machines in: makes an access token and a certificate once, listens on every address, and shows "
        "the line that heliograph pair wants on a device",
    )
    parser.add_argument(
        "--host",
        help=f"address to listen on (default: {DEFAULT_HOST}; with --public every IPv4 address)",
    )
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help=f"port; 0 takes a free one (default: {DEFAULT_PORT})"
    )
    add_model_option(parser)
    add_bundle_option(parser, "--codec")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="access tokens, one per line, of which devices must show one; weight=N behind one gives N times the share",
    )
    add_key_option(parser, "keys in hex, one per line, of which devices must hold one: every session is authenticated")
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="certificate chain (PEM); needs --tls-key")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="private key (PEM)")
    parser.add_argument(
        "--tls-client-ca",
        metavar="FILE",
        type=Path,
        help="devices must show a certificate that one of these signed (PEM); needs --tls-cert",
    )
    parser.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="web pages of this origin (https://app.example) may use the server; may be repeated (default: none)",
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="the server is also known by this name; may be repeated (default: localhost, --host and every address; "
        "with TLS any name)",
    )
    parser.add_argument(
        "--visual-tokens",
        metavar="N",
        type=positive_int,
        help="the language model reads at most N visual tokens of a photo: those that are alike are merged, and count "
        "by their number. Cheaper answers; confidence was calibrated without (default: all)",
    )
    parser.add_argument(
        "--log-questions",
        action="store_true",
        help="with -v: write questions and answers into the access log too; photos never are in it",
    )
    add_limit_options(parser)
    add_trace_options(parser)


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """--vlm (or --model), for every command that loads one."""
    parser.add_argument(
        "--vlm",
        "--model",
        dest="model",
        metavar="MODEL",
        default=default_model(),
        help="reference, field, a checkpoint folder or a hub id, @REVISION behind it if need be; #one-frame behind "
        f"that: photos are not split into tiles (default: ${MODEL_VARIABLE}, else reference)",
    )


def _run(arguments: argparse.Namespace) -> int:
    for option, other in (("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert"), ("--tls-client-ca", "--tls-cert")):
        needs(arguments, option, other)
    if arguments.log_questions and arguments.log_level not in ("debug", "info"):
        raise UsageError().noted("--log-questions needs -v (or --log-level info): the access log is of that level.")
    from heliograph.serving.web.runner import run_server

    def on_ready(url: str) -> None:
        is_reference = is_reference_model(arguments.model) or is_reference_bundle(bundle_of_model(arguments))
        facts = {"url": url, "model": arguments.model, **note_model(arguments, is_reference=is_reference)}
        if identity is not None:
            facts["pairing_file"] = str(_write_code(arguments, identity, url))
        ready = f"heliograph: {printable(arguments.model)} listens on {url} (Ctrl-C ends it)"
        print(json.dumps(facts) if arguments.json else ready, flush=True)

    warn_of_exposed_key(arguments)
    identity = _make_public(arguments) if arguments.public else None
    arguments.host = arguments.host or (DEFAULT_HOST if identity is None else EVERY_ADDRESS)
    with trace_sink(arguments, CLOUD) as trace:
        run_server(
            arguments.host,
            arguments.port,
            arguments.model,
            bundle_of_model(arguments),
            arguments.token_file,
            arguments.tls_cert,
            arguments.tls_key,
            tls_client_ca=arguments.tls_client_ca,
            origins=arguments.allow_origin,
            hosts=arguments.allow_host,
            on_ready=on_ready,
            on_warning=log.warning if arguments.log_json else warn,
            limits=chosen_limits(arguments),
            key_file=arguments.key_file,
            trace=trace,
            log_texts=arguments.log_questions,
            visual_tokens=arguments.visual_tokens,
        )
    return EXIT_DONE


def _make_public(arguments: argparse.Namespace) -> Identity:
    """Fill in what ``--public`` stands for.

    Raises:
        UsageError: an option says something else.
        OutputUnwritableError: token and certificate cannot be kept.
    """
    from heliograph.serving.web.identity import open_identity

    for option in ("--token-file", "--tls-cert", "--tls-key"):
        if getattr(arguments, option[2:].replace("-", "_")) is not None:
            raise UsageError().noted(f"--public makes its own token and certificate: leave out {option} or --public.")
    identity = open_identity(log.warning if arguments.log_json else warn)
    arguments.token_file, arguments.tls_cert, arguments.tls_key = identity.files
    return identity


def _write_code(arguments: argparse.Namespace, identity: Identity, url: str) -> Path:
    """The pairing code in its file, and on the screen where somebody sits at a terminal. It is a secret: a log or a
    journal is told the name of the file alone."""
    from heliograph.serving.web.identity import reachable_host

    host, port = reachable_host(arguments.host, arguments.allow_host), int(url.rpartition(":")[2])
    code = str(identity.code(host, port))
    write_private(identity.code_file, f"{code}\n")
    if sys.stderr.isatty():
        note(arguments, f"On the device run  heliograph pair  and paste this line (it is a secret):\n\n{code}\n")
    else:
        note(arguments, f"heliograph: the line that heliograph pair wants on a device is in {identity.code_file}")
    return identity.code_file


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Load a vision-language model and answer questions of devices over websockets. GET /health and GET /metrics\n"
        "are served on the same port. With --json the line that says it is ready is JSON."
    ),
    examples=(
        "heliograph serve",
        "heliograph serve --public",
        "heliograph serve --host 0.0.0.0 --token-file tokens.txt --tls-cert cert.pem --tls-key key.pem",
        "heliograph serve --allow-host cloud.local --max-sessions 200 --idle-timeout 60",
        "heliograph serve -v --log-json",
        "heliograph serve --vlm path/to/checkpoint --codec codec",
        "heliograph serve --trace cloud.trace --trace-without-content",
    ),
)
