"""For every named error what it is about on this command line, and what to do next. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph import errors
from heliograph.cli.answers import EmptyAnswerError, NotEnoughReceivedError
from heliograph.errors import HeliographError

_SAME_VERSION = "Is it a heliograph serve of the same version?"
_OTHER_PLACE = "Choose a place that this user may write to and that has room."


@dataclass(frozen=True)
class Advice:
    """What the command line adds to an error.

    Attributes:
        about: arguments that name what it is about; the first that has a value is shown.
        step: what to do next, for every command.
        steps: what to do next where the command has this argument; the first that it has wins over ``step``.
        notes_say_all: leave the error's general text out where a note says what is wrong.
        step_unless_reason: the error's reason says what helps, and an error that came over the wire has none.
        see_help: the command line is wrong; a note says why, and the command's help is the next step.
    """

    about: tuple[str, ...] = ()
    step: str = ""
    steps: Mapping[str, str] = field(default_factory=dict)
    notes_say_all: bool = False
    see_help: bool = False
    step_unless_reason: bool = False

    def step_for(self, given: Mapping[str, object]) -> str:
        """The next step for a command with these arguments."""
        return next((step for name, step in self.steps.items() if name in given), self.step)


ADVICE: dict[type[HeliographError], Advice] = {
    HeliographError: Advice(step="See heliograph doctor."),
    errors.UsageError: Advice(
        steps={"server": "The server does not take an argument of the question: is it of the same version?"},
        see_help=True,
    ),
    errors.BudgetTooSmallError: Advice(("budget", "setting"), "Give it more bytes.", notes_say_all=True),
    errors.NoAnswerError: Advice(),
    errors.UnknownNameError: Advice(),  # its text lists the choices
    errors.PlugInError: Advice(),  # its text names the doctor
    errors.PhotoMissingError: Advice(("photo",), "Check the path."),
    errors.PhotoUnreadableError: Advice(("photo",), "Open it in a viewer to see whether it is whole."),
    errors.PhotoTooLargeError: Advice(("photo",), "Save it smaller, or as a baseline JPEG."),
    errors.PhotoMemoryError: Advice(("photo",), "Save it smaller."),
    errors.PhotoForbiddenError: Advice(("photo",), "Let this user read the file and its folder."),
    errors.TraceDamagedError: Advice(("file",), "Give a file that --trace of heliograph ask or serve has written."),
    errors.QuestionEmptyError: Advice(("question",), "Write the question in quotes, such as 'what is on the sign?'."),
    errors.QuestionTooLongError: Advice(("question",), "Ask a shorter one."),
    errors.StreamTruncatedError: Advice(
        ("file", "photo"),
        steps={
            "file": "Copy the whole file again.",
            "budget": "Let more of the photo be sent: a larger --budget or --target, or neither.",
        },
    ),
    errors.StreamDamagedError: Advice(("file", "photo"), steps={"file": "Copy the file again."}, step="Try again."),
    errors.StreamVersionError: Advice(("file",), "Upgrade Heliograph, or write the file again with heliograph encode."),
    errors.StreamForgedError: Advice(
        ("file", "server", "key_file"), "Give both ends the same key with --key-file.", step_unless_reason=True
    ),
    errors.BundleMismatchError: Advice(("bundle",)),  # its text says what helps
    errors.BundleDamagedError: Advice(("bundle",), "Export it anew with heliograph export.", step_unless_reason=True),
    errors.ShapeError: Advice(("file", "photo", "bundle"), "Encode the photo with the bundle that it is read with."),
    errors.CodecNotFittedError: Advice(("photos", "codec")),  # its text says what helps
    errors.AttentionMissingError: Advice(("bundle",)),  # its text says what helps
    errors.PartMissingError: Advice(("strategy", "bundle")),  # its text says what helps
    errors.PartMismatchError: Advice(("strategy", "bundle")),  # its text says what helps
    errors.CodecMissingError: Advice(("strategy", "bundle"), "Choose another one with --strategy."),
    errors.FrameDamagedError: Advice(("server",), _SAME_VERSION),
    errors.FrameTooLargeError: Advice(("server",), _SAME_VERSION),
    errors.ProtocolVersionError: Advice(("server",), "Upgrade the older one of the two."),
    errors.ProtocolStateError: Advice(("server",), _SAME_VERSION),
    errors.UnauthorizedError: Advice(("server",), "Give the server's access token with --token-file."),
    errors.TooManyError: Advice(("server",), "Ask again when the other questions are answered."),
    errors.UnknownImageError: Advice(("server",), "Ask again: the photo is sent anew."),
    errors.PayloadTooLargeError: Advice(
        ("photo", "file"), "Send less of it.", steps={"budget": "Send less of it: give a --budget."}
    ),
    errors.ServerBusyError: Advice(("server",), "heliograph serve --max-sessions lets more devices in."),
    errors.ServerUnreachableError: Advice(
        ("server",),
        "See heliograph doctor.",
        steps={"server": "Start one with heliograph serve, or name another one with --server."},
        notes_say_all=True,
    ),
    errors.ConnectionLostError: Advice(
        ("server",),
        "Try again.",
        steps={"timeout": "Try again; a longer --timeout leaves time to connect once more."},
        notes_say_all=True,
    ),
    errors.PortBusyError: Advice(("port",), "Choose another one with --port (0 takes a free one)."),
    errors.TimedOutError: Advice(
        ("server",), "Try again.", steps={"timeout": "Try again with a longer --timeout, or send less of the photo."}
    ),
    errors.LinkTraceError: Advice(("link",), "Write it as 1mbit,50ms, or name a trace file."),
    errors.TlsFilesError: Advice(("tls_cert", "tls_client_cert"), "Give a certificate and its own key, both in PEM."),
    errors.TokenFileError: Advice(("token_file",), "Write the token into it, on a line of its own."),
    errors.KeyFileError: Advice(("key_file",), "Make one with: openssl rand -hex 32."),
    errors.HostRefusedError: Advice(("server",)),  # its text says what helps
    errors.ModelUnavailableError: Advice(("model",), "Name another one with --vlm.", notes_say_all=True),
    errors.ModelUnsupportedError: Advice(("model",), "heliograph doctor --vlms lists the families that work."),
    errors.AnsweringFailedError: Advice(
        ("server", "file", "photo"),
        "Try another question or photo.",
        steps={"server": "The server's log says why; try another question or photo."},
    ),
    errors.MissingExtraError: Advice(),  # its text says what to install
    errors.DataMissingError: Advice(("photos",), "Check the path.", notes_say_all=True),
    errors.FileUnreadableError: Advice(("file",), "Check the path."),
    errors.OutputUnwritableError: Advice(("out", "trace", "plot"), _OTHER_PLACE),
    errors.TokensNotFiniteError: Advice(("model",)),  # its text says what helps
    errors.CodecModelMismatchError: Advice(("bundle", "codec")),  # its text says what helps
    errors.EncoderNotExportableError: Advice(
        ("model",), "Its photos can go as pictures, such as with --strategy webp."
    ),
    NotEnoughReceivedError: Advice(
        ("photo", "file"),
        steps={
            "segments": "Take more --segments, or a file that was not cut so short.",
            "budget": "Let more of the photo be sent: a larger --budget or --target, or neither.",
        },
    ),
    EmptyAnswerError: Advice(("question",), "Ask otherwise."),
    errors.TooManyRegionsError: Advice(("server",), "Ask with --region never."),
}


def advice_of(kind: type[HeliographError]) -> Advice:
    """What is added to errors of a class: its own, or that of the class that it is derived from."""
    return next(ADVICE[one] for one in kind.__mro__ if one in ADVICE)
