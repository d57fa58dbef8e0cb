"""What every strategy is: photo -> stream on the device, any usable prefix -> tokens or picture in the cloud.

One drawing of both halves::

    DEVICE  photo --Strategy.encode(tools: DeviceTools)--> EncodedImage(header, segments) ==> CLOUD
    CLOUD   prefix --Strategy.restore(tools: CloudTools)--> Restored(tokens | image | text) --> tap, image processor
                                                                                                or prompt
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

from heliograph.errors import UsageError
from heliograph.strategies.perception import ReadLine, Sight
from heliograph.strategies.towers import AttendedTokens, BlockUnits, DeviceTower, PatchReader
from heliograph.types import EncodedImage, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.base import Codec
    from heliograph.codec.parts import Part

Setting = dict[str, int | float | str]
"""A strategy's knobs, small and printable, such as ``{"size": 96, "quality": 40}``."""

_SLICE_BYTES = 1024
"""Slice of a picture file: 0.4 s on a 20 kbit/s link, and one percent or less of frame overhead."""

_MAX_SLICES = 2048
_MAX_SHOWN = 100


@dataclass(frozen=True)
class Restored:
    """What the cloud gives its model: exactly one of the three is set.

    Attributes:
        tokens: visual tokens for the tap.
        image: a picture for the VLM's own image processor.
        text: words for the prompt.
    """

    tokens: VisualTokens | None = None
    image: Image | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.tokens, self.image, self.text)) != 1:
            raise ValueError("exactly one of tokens, image and text must be given")


class DeviceTools(Protocol):
    """What a strategy may use on the device."""

    @property
    def question(self) -> str:
        """What the stream is made for; empty for no question, or for all of them."""

    @property
    def sight(self) -> Sight | None:
        """Where to look; None on a device without a bundle, which cannot encode tokens either."""

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind."""

    def part(self, name: str) -> Part:
        """The trained part of a strategy, bound to the bundle's model.

        Raises:
            PartMissingError: there is none for this model.
            BundleDamagedError: it is there and cannot be used.
        """

    @property
    def input_size(self) -> int:
        """Side of the VLM's square input in pixels."""

    def pictures(self, photo: Image) -> tuple[Image, ...]:
        """The RGB pictures that the VLM's vision tower reads of a photo, at their sizes."""

    def encode_tokens(self, photo: Image) -> VisualTokens:
        """The photo's visual tokens, (N, D) float32."""

    @property
    def tower(self) -> DeviceTower:
        """The bundle's vision tower, block by block.

        Raises:
            ModelUnsupportedError: it is none of one square picture and plain blocks.
        """

    def encode_attended(self, photo: Image) -> AttendedTokens:
        """The same tokens, with what the tower looks at.

        Raises:
            AttentionMissingError: the bundle's encoder does not tell.
        """

    def text_lines(self, photo: Image) -> Sequence[ReadLine]:
        """The lines of text in a photo, in no order.

        Raises:
            MissingExtraError: there is no reader on this device.
        """

    def describe(self, photo: Image) -> str:
        """The photo in words, by the device's own language model.

        Raises:
            BundleDamagedError: the bundle holds none.
        """


class CloudTools(Protocol):
    """What a strategy may use in the cloud."""

    @property
    def question(self) -> str:
        """What the model is asked, for strategies that hear it; empty for no question."""

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind."""

    def part(self, name: str) -> Part:
        """The trained part of a strategy, bound to the bundle's model.

        Raises:
            PartMissingError: there is none for this model.
            BundleDamagedError: it is there and cannot be used.
        """

    @property
    def grid(self) -> Grid:
        """How the N tokens lie over a photo."""

    @property
    def hidden_size(self) -> int:
        """D, the width of one token."""

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that a stream states and that is none of the model's, or none that devices of the bundle send.

        Raises:
            ShapeError: such a grid.
        """

    def patch_reader(self, size: tuple[int, int]) -> PatchReader:
        """The VLM's vision tower behind its first map, for photos of this width and height.

        Raises:
            ModelUnsupportedError: it does not begin with an affine map of patches, or changes pixels before it.
            ShapeError: it is not for photos of this size.
        """


class Kind(StrEnum):
    """What the cloud's model answers from."""

    TOKENS = "tokens"
    """Visual tokens, at the tap."""

    PICTURE = "picture"
    """Pixels, through the model's own image processor."""

    TEXT = "text"
    """Words before the question; drawn, where the model understands pictures alone."""

    LOCAL = "local"
    """Nothing: the device answers by itself."""


class Family(StrEnum):
    """The six families of compression for vision-language models, and what they are measured against."""

    TOKEN_COMPRESSION = "visual-token compression"
    COMPRESSED_LATENT = "compressed-latent inputs"
    COMPRESSED_DOMAIN = "compressed-domain inference"
    SEMANTIC = "semantic compression"
    SPLIT = "split computing with feature compression"
    GUIDED = "VLM-guided image compression"
    BASELINE = "baseline"


class Strategy(ABC):
    """One way of sending a photo.

    Attributes:
        name: registry name, also the key of its pinned wire id.
        kind: what the cloud's model answers from.
        needs_bundle: both ends must hold the same bundle for this strategy to restore anything.
        default_setting: what ``ask`` uses; gives each knob's name and type.
        embedded: any prefix of its streams restores something to answer from.
        tuned: the bench sweeps its sizes and qualities and keeps the best of them, as an opponent deserves.
        guidance: of a tuned strategy, the knobs beside size and quality that the bench sweeps, as one setting each.
        codec: kind of the bundle's codec that it cannot do without; empty for none.
        extra: pip extra that its device half cannot do without; empty for none.
        program: environment variable that names a program of other people which both halves run; empty for none.
        speaks: its device half needs the language model of the device's bundle.
        family: where it belongs among the methods of the field.
        paper: arXiv number of its source; None where it has none there.
        enters_tower: restoring enters the model's vision tower behind its first layers
            (:class:`heliograph.strategies.towers.PatchReader`), which an encoder that was exported for devices does not
            offer.
        needs_part: one of its halves needs a trained part of the strategy's own name (:attr:`DeviceTools.part`).
        hears: what its streams restore to depends on the question (:attr:`CloudTools.question`), so that each question
            about a photo has them restored anew.
        wire_id: of a plug-in, its number on the wire and in ``.hgs`` files, 96 to 127; those of Heliograph's own are in
            :mod:`heliograph.protocol.wire_ids`.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    needs_bundle: ClassVar[bool]
    default_setting: ClassVar[Setting]
    embedded: ClassVar[bool] = False
    tuned: ClassVar[bool] = False
    guidance: ClassVar[tuple[Setting, ...]] = ({},)
    codec: ClassVar[str] = ""
    extra: ClassVar[str] = ""
    program: ClassVar[str] = ""
    speaks: ClassVar[bool] = False
    family: ClassVar[Family] = Family.BASELINE
    paper: ClassVar[str | None] = None
    enters_tower: ClassVar[bool] = False
    needs_part: ClassVar[bool] = False
    hears: ClassVar[bool] = False
    wire_id: ClassVar[int | None] = None

    @abstractmethod
    def settings(self) -> tuple[Setting, ...]:
        """The sweep for the bench, cheapest first."""

    def asks(self, setting: Setting) -> bool:
        """Whether at this setting streams differ from question to question, so that each question about a photo needs
        one of its own.

        Raises:
            UsageError: a knob is unknown or has the wrong type.
        """
        return False

    def tower_units(self, setting: Setting, tokens: int, blocks: int) -> tuple[BlockUnits, ...] | None:
        """What the device runs of each block of a vision tower; None for all of it or nothing.

        Args:
            setting: all knobs.
            tokens: N, of the whole photo.
            blocks: of the tower.
        """
        return None

    @abstractmethod
    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The photo as a stream.

        Raises:
            UsageError: a knob is unknown or out of range.
        """

    def encode_towards(self, photo: Image, tools: DeviceTools, setting: Setting, agreement: float) -> EncodedImage:
        """The stream for a question that stops it where so large a share of answers, 0 to 1, agrees with those from
        uncompressed tokens; the same stream, unless the strategy can see to it that it can be stopped exactly there.

        Raises:
            UsageError: as :meth:`encode`.
        """
        return self.encode(photo, tools, setting)

    @abstractmethod
    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """What the model gets from this prefix.

        Raises:
            StreamTruncatedError: the strategy needs more segments than these.
            StreamDamagedError: header or segments cannot be what ``encode`` wrote.
        """

    def complete_setting(self, setting: Setting) -> Setting:
        """``setting`` with defaults for the missing knobs.

        Raises:
            UsageError: a knob is unknown or has the wrong type.
        """
        completed = dict(self.default_setting)
        for knob, value in setting.items():
            if knob not in completed or not isinstance(value, type(completed[knob])):
                raise _refused(knob, value, _known(self.default_setting))
            completed[knob] = value
        return completed


def label(setting: Setting) -> str:
    """A setting as one word for tables: ``size=96,quality=40``; ``default`` where there are no knobs."""
    return ",".join(f"{knob}={value}" for knob, value in setting.items()) or "default"


def parse_setting(text: str, defaults: Setting) -> Setting:
    """The inverse of ``label``; each knob has the type of its default.

    Raises:
        UsageError: not ``knob=value`` pairs, an unknown knob, or a value of another type.
    """
    setting: Setting = {}
    for pair in text.split(",") if text and text != "default" else []:
        knob, separator, value = pair.partition("=")
        if not separator or knob not in defaults:
            raise _refused(knob, value, _known(defaults))
        try:
            setting[knob] = type(defaults[knob])(value)
        except ValueError as error:
            raise _refused(knob, value, f"{knob} is a number such as {defaults[knob]}") from error
    return setting


def int_knob(setting: Setting, knob: str, lowest: int, highest: int) -> int:
    """A whole-number knob within its range.

    Raises:
        UsageError: outside ``lowest`` to ``highest``.
    """
    value = int(setting[knob])
    if not lowest <= value <= highest:
        raise _refused(knob, value, f"{knob} is {lowest} to {highest}")
    return value


def choice_knob(setting: Setting, knob: str, choices: Sequence[str]) -> str:
    """A knob that names one of a few.

    Raises:
        UsageError: none of ``choices``.
    """
    value = str(setting[knob])
    if value not in choices:
        raise _refused(knob, value, f"{knob} is {' or '.join(choices)}")
    return value


def float_knob(setting: Setting, knob: str, lowest: float, highest: float) -> float:
    """A knob that is a number within its range.

    Raises:
        UsageError: outside ``lowest`` to ``highest``, or no number.
    """
    value = float(setting[knob])
    if not lowest <= value <= highest:
        raise _refused(knob, value, f"{knob} is {lowest:g} to {highest:g}")
    return value


def _refused(knob: str, value: object, why: str) -> UsageError:
    return UsageError().noted(f"Setting {f'{knob}={value}'[:_MAX_SHOWN]}: {why}.")


def _known(defaults: Setting) -> str:
    return f"the knobs are {', '.join(defaults)}" if defaults else "this strategy has no knobs"


def sliced(data: bytes) -> tuple[bytes, ...]:
    """A file in equal slices of 1024 bytes (longer where there would be over 2048 of them), the last one shorter."""
    step = max(_SLICE_BYTES, -(-len(data) // _MAX_SLICES))
    return tuple(data[start : start + step] for start in range(0, len(data), step))


def joined(segments: Sequence[bytes], max_bytes: int) -> bytes | None:
    """The segments as one piece, or None where they exceed ``max_bytes`` (looked at before memory is taken)."""
    return b"".join(segments) if sum(map(len, segments)) <= max_bytes else None
