"""Named errors. Each has a constant text, a stable name and a stable number for the wire.

The text never contains input: what an attacker or a broken file sent must not come back in a log, a
terminal or an ERROR frame. Where one text covers several causes, the error is made with the one that it was, a constant
of :mod:`heliograph.reasons`; ``reason`` says it in words and no frame carries it. Details for a developer travel in
``__cause__`` only, those for the person at the command line (a name that was given there, what to try next) as notes,
which the command line alone shows.
"""

from __future__ import annotations

from typing import Self

from heliograph.error_bases import FaultyError as FaultyError
from heliograph.error_bases import FileError as FileError
from heliograph.error_bases import HeliographError as HeliographError
from heliograph.error_bases import InputError as InputError
from heliograph.error_bases import LinkError as LinkError
from heliograph.error_bases import NoAnswerError as NoAnswerError
from heliograph.error_bases import RefusedError as RefusedError
from heliograph.exit_codes import ExitCode
from heliograph.reasons import (
    BundleFault,
    BundlePart,
    FileFault,
    ForgedFault,
    LinkFault,
    StreamFault,
    next_step,
    shown,
)


class UsageError(HeliographError):
    """An argument cannot be used, by itself or beside another one; notes say which and why."""

    code, name, text = 2, "usage", "An argument cannot be used; see --help."
    exit_code = ExitCode.USAGE

    @classmethod
    def of_argument(cls, argument: str, wanted: str, value: object) -> Self:
        """The error of one argument, with a note such as ``target must be 0 to 255, not 300.``

        The note holds ``value``, shortened, so it must be nothing secret.
        """
        return cls().noted(f"{argument} must be {wanted}, not {shown(value)}.")


class BudgetTooSmallError(UsageError):
    """Not even the least that shows something of a photo fits into the bytes that are allowed."""

    name, text = "budget-too-small", "So few bytes show nothing of the photo."
    exit_code = ExitCode.NO_ANSWER


class UnknownNameError(HeliographError):
    """A registry was asked for a name it does not hold. The choices come from the program, not from input."""

    code, name, text = 3, "unknown-name", "There is no such name in this registry."
    exit_code = ExitCode.USAGE

    kind: str = ""
    choices: tuple[str, ...] = ()

    def __init__(self, kind: str = "", choices: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.kind, self.choices = kind, choices

    def __str__(self) -> str:
        return f"{self.text} Choose a {self.kind} from: {', '.join(self.choices)}." if self.choices else self.text


class PlugInError(HeliographError):
    """A package that adds a strategy, controller or the like is broken, or clashes with another one."""

    code, name, text = 4, "plug-in", "A plug-in cannot be used; heliograph doctor says what is wrong with it."
    exit_code = ExitCode.INTERNAL


# ---- photos ----------------------------------------------------------------------------------------
class PhotoMissingError(InputError):
    code, name, text = 10, "photo-missing", "The photo is not there or is not a file."


class PhotoUnreadableError(InputError):
    code, name, text = 11, "photo-unreadable", "The photo cannot be read as an image."


class PhotoTooLargeError(InputError):
    code, name, text = (
        12,
        "photo-too-large",
        ("Decoding the photo would take more memory than a device has."),
    )


class PhotoMemoryError(InputError):
    code, name, text = 13, "photo-memory", "There is not enough memory to decode the photo."


class PhotoForbiddenError(InputError):
    code, name, text = 14, "photo-forbidden", "There is no permission to read the photo."


# ---- traces ----------------------------------------------------------------------------------------
class TraceDamagedError(InputError):
    code, name, text = 15, "trace-damaged", "The file is no trace of an exchange, or it is damaged."


# ---- questions -------------------------------------------------------------------------------------
class QuestionEmptyError(HeliographError):
    code, name, text = 20, "question-empty", "The question is empty."
    exit_code = ExitCode.USAGE


class QuestionTooLongError(HeliographError):
    code, name, text = 21, "question-too-long", "The question is longer than 2000 characters."
    exit_code = ExitCode.USAGE


# ---- streams, codecs and bundles -------------------------------------------------------------------
class StreamTruncatedError(NoAnswerError):
    code, name, text = 30, "stream-truncated", "The stream ends before its header or the least that shows a photo."


class StreamDamagedError(FaultyError):
    code, name, text = 31, "stream-damaged", "The stream is damaged."
    exit_code = ExitCode.INPUT

    def __init__(self, fault: StreamFault) -> None:
        super().__init__(fault)


class StreamVersionError(InputError):
    code, name, text = 32, "stream-version", "The stream was written by a version that this one cannot read."


class BundleMismatchError(RefusedError):
    code, name, text = (
        33,
        "bundle-mismatch",
        "Device and cloud use different bundles; export one bundle and use it on both ends.",
    )


class BundleDamagedError(FaultyError):
    """The bundle, or the part of it that is needed, cannot be used.

    Attributes:
        part: which part of the bundle; None in an error that came from the other end.
    """

    code, name, text = 34, "bundle-damaged", "The bundle is incomplete or damaged."
    exit_code = ExitCode.INPUT
    part: BundlePart | None = None

    def __init__(self, part: BundlePart, fault: FileFault | BundleFault) -> None:
        super().__init__(fault)
        self.part = part
        self.reason = f"{part.value} {fault}; {next_step(fault)}"


class ShapeError(InputError):
    code, name, text = 35, "shape", "Tokens or image do not have the shape that the codec was fitted for."


class CodecNotFittedError(InputError):
    code, name, text = 36, "codec-not-fitted", "There is too little data to fit the codec; give more photos."


class CodecMissingError(RefusedError):
    code, name, text = 37, "codec-missing", "The bundle holds no codec of this kind; export it with this codec."


class AttentionMissingError(RefusedError):
    code, name, text = (
        39,
        "attention-missing",
        "What the bundle's encoder looks at cannot be read: choose another strategy.",
    )


class StreamForgedError(FaultyError):
    code, name, text = 38, "stream-forged", "The stream does not carry the authentication of the shared key."
    exit_code = ExitCode.REFUSED

    def __init__(self, fault: ForgedFault) -> None:
        super().__init__(fault)


# ---- wire ------------------------------------------------------------------------------------------
class FrameDamagedError(RefusedError):
    code, name, text = 40, "frame-damaged", "A frame is damaged: a type, length or value is not allowed."


class FrameTooLargeError(RefusedError):
    code, name, text = 41, "frame-too-large", "A frame claims to be larger than is allowed."


class ProtocolVersionError(RefusedError):
    code, name, text = 42, "protocol-version", "The other end speaks another version of the protocol."


class ProtocolStateError(RefusedError):
    code, name, text = 43, "protocol-state", "A frame arrived that is not allowed at this point of the session."


class UnauthorizedError(RefusedError):
    code, name, text = 44, "unauthorized", "The access token is missing or wrong."


class TooManyError(LinkError):
    code, name, text = 45, "too-many", "The session holds too many photos or open questions."


class UnknownImageError(LinkError):
    code, name, text = 46, "unknown-image", "The question is about a photo that this session does not hold."


class PayloadTooLargeError(RefusedError):
    code, name, text = 47, "payload-too-large", "The photo's payload has more bytes or segments than are allowed."


class ServerBusyError(LinkError):
    code, name, text = 48, "server-busy", "The server is busy; try again later."


# ---- connection ------------------------------------------------------------------------------------
class ServerUnreachableError(LinkError):
    """``proxied`` where the way there is a proxy that the environment names."""

    code, name, text = 50, "server-unreachable", "The server cannot be reached."
    proxied: bool = False

    def __init__(self, *, proxied: bool = False) -> None:
        super().__init__()
        self.proxied = proxied

    def __str__(self) -> str:
        hint = " The environment names a proxy: mend it, or list the host in NO_PROXY."
        return self.text + (hint if self.proxied else "")


class ConnectionLostError(LinkError):
    code, name, text = 51, "connection-lost", "The connection was lost before the answer was complete."


class PortBusyError(LinkError):
    code, name, text = 52, "port-busy", "The port is already in use."


class TimedOutError(LinkError):
    code, name, text = 53, "timed-out", "No answer came in time."


class LinkTraceError(FaultyError):
    code, name, text = 54, "link-trace", "The link description or trace file cannot be understood."
    exit_code = ExitCode.USAGE

    def __init__(self, fault: LinkFault | FileFault) -> None:
        super().__init__(fault)
        self.reason = f"the trace file {fault}" if isinstance(fault, FileFault) else str(fault)


class TlsFilesError(FileError):
    code, name, text = 56, "tls-files", "The TLS certificate or key cannot be read, or they do not belong together."


class TokenFileError(FileError):
    code, name, text = 57, "token-file", "The token file cannot be read or holds no usable access token."


class KeyFileError(FileError):
    code, name, text = 58, "key-file", "The key file cannot be read or holds no usable key."


class HostRefusedError(RefusedError):
    code, name, text = (
        59,
        "host-refused",
        "The server does not go by this name: start it with --allow-host NAME, or call it by its address.",
    )


# ---- the cloud's model and the installation ---------------------------------------------------------
class ModelUnavailableError(InputError):
    code, name, text = 60, "model-unavailable", "The model cannot be loaded from this folder or hub id."


class ModelUnsupportedError(InputError):
    code, name, text = (
        61,
        "model-unsupported",
        "This model does not offer the image-feature tap that restored tokens need, its processor makes no prompt of a "
        "photo, or its vision tower takes no coefficients.",
    )


class AnsweringFailedError(NoAnswerError):
    code, name, text = 62, "answering-failed", "The model failed on this question; the session goes on."


class MissingExtraError(HeliographError):
    """An optional dependency is not installed; ``extra`` names the pip extra that brings it."""

    code, name, text = 63, "missing-extra", "An optional part is not installed."
    exit_code = ExitCode.INTERNAL
    extra: str = ""

    def __init__(self, extra: str = "") -> None:
        super().__init__()
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.text} Install it with: pip install 'heliograph[{self.extra}]'." if self.extra else self.text


class DataMissingError(InputError):
    code, name, text = 64, "data-missing", "A data folder that this needs is not there."


class FileUnreadableError(FileError):
    code, name, text = 65, "file-unreadable", "An input file cannot be used."


class OutputUnwritableError(InputError):
    code, name, text = 66, "output-unwritable", "The output file or folder cannot be written."


class TokensNotFiniteError(InputError):
    code, name, text = (
        67,
        "tokens-not-finite",
        "The vision tower gave values that are not finite, or too large for half precision; load it in float32.",
    )


class CodecModelMismatchError(RefusedError):
    code, name, text = (
        68,
        "codec-model-mismatch",
        "This codec was fitted on another model or revision: fit one for this model with heliograph fit, or name the "
        "model that the codec's config.json names.",
    )


class EncoderNotExportableError(ModelUnsupportedError):
    code, name, text = (
        69,
        "encoder-not-exportable",
        "No encoder for devices can be made of this model: its processor changes photos of every size, its tower "
        "cannot be traced, or what was traced does not do what the model does.",
    )


class TooManyRegionsError(TooManyError):
    code, name, text = (
        70,
        "too-many-regions",
        "The session has looked at as many regions as are allowed, or a region was sent that nobody asked for.",
    )
    exit_code = ExitCode.REFUSED


class PartMissingError(RefusedError):
    code, name, text = (
        71,
        "part-missing",
        "The strategy needs a trained part that is not there for this model: install heliograph-cloud, or make one "
        "with heliograph train strategy.",
    )


class PartMismatchError(RefusedError):
    code, name, text = (
        72,
        "part-mismatch",
        "Device and cloud hold different parts of the strategy: copy one to both ends.",
    )


def all_errors() -> dict[int, type[HeliographError]]:
    """Every named error by its wire number, for the ERROR frame and for ``docs/protocol.md``."""
    found: dict[int, type[HeliographError]] = {}
    todo: list[type[HeliographError]] = [HeliographError]
    while todo:
        cls = todo.pop()
        if "code" in vars(cls):
            found[cls.code] = cls
        todo.extend(cls.__subclasses__())
    return dict(sorted(found.items()))
