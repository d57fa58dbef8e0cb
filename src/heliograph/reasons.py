"""Reasons: which of several causes a named error has. Constants, so that nothing of the input can come back in them.

A reason completes the constant text of its error: ``The bundle cannot be used: the manifest is not valid JSON; copy the
folder again.`` It is there for people at the command line, for callers (``error.reason``, ``error.fault``) and for
logs. It never travels: on the wire an error stays its number.
"""

from __future__ import annotations

from enum import Enum

_MAX_SHOWN = 60


class Fault(Enum):
    """What is wrong, as a constant phrase; ``name`` is what programs compare."""

    def __str__(self) -> str:
        return str(self.value)


class FileFault(Fault):
    """Wrong with any file that somebody names, whatever it is for. The phrase follows the name of the file."""

    MISSING = "is not there"
    FORBIDDEN = "may not be read by this user"
    NOT_REGULAR = "is a folder, a pipe or a device, and no regular file"
    LINK = "is a symbolic link, which is not followed here"
    UNREADABLE = "cannot be read: the disk or the system refuses"
    TOO_LARGE = "is larger than such a file may be"
    NOT_TEXT = "is not text in UTF-8"
    NOT_JSON = "is not valid JSON, or repeats a key, nests too deeply or holds a number without a value"
    LENGTH = "is cut off, or its length is not the one that it states"
    CONTENT = "lacks an entry, or has one of another kind than is expected there"
    EMPTY = "holds nothing that could be used"


class BundleFault(Fault):
    """Wrong with a part of a bundle, beyond what can be wrong with any file. The phrase follows the part's name."""

    HASH = "does not match its SHA-256 in the manifest"
    FORMAT = "has a format that this version does not read"
    UNKNOWN = "names something that this version does not know"
    UNNAMED = "is not among the files that the manifest names"
    NAME = "names a file in a way that is not allowed: only plain names within the folder are"
    TOO_MANY = "has more entries than are allowed"
    SHAPE = "holds numbers in a shape that does not fit"
    NOT_FINITE = "holds a number that is not finite"
    RANGE = "holds a number that is out of range"
    ORDER = "holds numbers that are not in order"
    NOT_NETWORK = "is not a network that ONNX Runtime can run"
    EXTERNAL = "reads a file that does not belong to the bundle"
    BORDER = "does not have the inputs and outputs that are expected of it"
    UNREACHABLE = "cannot be fetched from the hub"


class BundlePart(Enum):
    """The part of a bundle that a reason is about."""

    BUNDLE = "the bundle"
    MANIFEST = "the manifest (manifest.json or config.json)"
    FILE = "a file that the manifest names"
    TABLES = "a codec's table file (.safetensors)"
    ERROR_HEAD = "the error head in a codec's table file"
    RESTORATION = "the restoration in a codec's table file"
    NETWORK = "a network (.onnx)"
    LOCAL_MODEL = "the local model (language_model.onnx)"
    PROMPT = "the local model's prompt (local_prompt.json)"
    TOKENIZER = "the tokenizer (tokenizer.json)"
    PREPROCESSING = "the preprocessing (preprocessing.json)"
    PARITY = "the encoder's report (parity.json)"
    CALIBRATION = "the calibration (calibration.json)"
    CURVES = "the curves (curves.json)"
    FAMILIARITY = "what its codecs leave of familiar photos (familiarity.json)"
    LEVELS = "how often answers agree by level (levels.json)"
    REGION = "the region setting (region.json)"
    PART = "a strategy's part (card.json, or a file that it names)"


_COPY = "copy the folder again"
_EXPORT = "export it anew"
NEXT_STEP: dict[Fault, str] = {
    FileFault.MISSING: _COPY,
    FileFault.FORBIDDEN: "let this user read the folder and its files",
    FileFault.NOT_REGULAR: _COPY,
    FileFault.LINK: "put the file itself in its place",
    FileFault.UNREADABLE: "copy the folder to another disk",
    FileFault.TOO_LARGE: _COPY,
    FileFault.NOT_TEXT: _COPY,
    FileFault.NOT_JSON: _COPY,
    FileFault.LENGTH: _COPY,
    BundleFault.HASH: f"{_COPY}, or export it anew if a file was changed on purpose",
    BundleFault.FORMAT: "upgrade Heliograph if the bundle is newer, else export it anew",
    BundleFault.UNKNOWN: "upgrade Heliograph if the bundle is newer, else export it anew",
    BundleFault.UNNAMED: "export a bundle that has it",
    BundleFault.EXTERNAL: "export it anew, or name that file in the manifest",
    BundleFault.UNREACHABLE: "check its name and the connection, or name a folder",
}
"""What to do about a part of a bundle; where nothing is said, exporting it anew."""


def next_step(fault: Fault) -> str:
    """What helps against a fault of a bundle."""
    return NEXT_STEP.get(fault, _EXPORT)


class StreamFault(Fault):
    """Wrong with a stream, its header or the file around it."""

    NOT_A_STREAM = "it is not a .hgs file"
    CHECKSUM = "a checksum does not fit, so bytes were changed"
    HEADER = "its header states what no encoder writes"
    NUMBER = "a number in its header is not written as it must be, or is too large"
    TOO_LARGE = "it states more segments or bytes than are allowed"
    GRID = "it states a grid that cannot be, or that the codec was not made for"
    LENGTH = "it has more or fewer bytes than it states"
    VALUE = "it restores numbers that no vision tower makes"
    PICTURE = "the picture in it cannot be decoded, or is too large"
    HASH = "its bundle hash is neither empty nor 8 bytes"


class ForgedFault(Fault):
    """Why what was sent is not taken as authentic."""

    NO_TAG = "it carries no authentication, and a key was given: read it without, or have it written with a key"
    ONE_END = "one end has a key and the other has none: give the key to both, or to neither"
    KEY_WANTED = "the cloud asks for a key and this device has none: give it the cloud's key (--key-file)"
    KEY_REFUSED = "the cloud has no key, or not the one of this device: give both ends the same"
    OTHER_KEY = "it was changed on its way, or the ends hold different keys"
    REPLAYED = "a greeting came a second time, as from a recording"
    UNSEALED = "authentication is missing where it was due"


class LinkFault(Fault):
    """Wrong with the description of a link or with a trace of one."""

    UNKNOWN = "it is neither a rate such as 1mbit or 250kbit nor the name of a trace file that is there"
    OPTION = "what follows the rate is a round trip such as 50ms, or down=, loss=, burst= or seed=, each at most once"
    RATE = "a rate is a number above 0 with bit, kbit, mbit or gbit, up to 1000gbit"
    ROUND_TRIP = "a round trip is a number with ms or s, up to 60s"
    LOSS = "a loss is a percentage from 0% to 50%"
    COUNT = "a burst is a number of bytes up to 16777216, a seed a whole number up to 1000000000"
    TRACE_LINE = "a line of the trace is not two numbers within bounds, seconds and Mbit/s"
    TRACE_ORDER = "the seconds of the trace do not rise from line to line"
    TRACE_STILL = "the trace never carries anything"
    TRACE_LENGTH = "the trace has no line, or over 100000"


def shown(value: object) -> str:
    """``value`` as Python writes it, within 60 characters, for a note."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python writes out
        return "a number of thousands of digits"
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
