"""What this machine's processor does with products of eight-bit numbers, and whether a bundle's encoder suits it.

x86 processors without VNNI add products of unsigned and signed bytes in pairs of 16 bits, which saturate: with weights
beyond 63 a sum can be cut off without a word. With VNNI, and on Arm, sums have 32 bits. See "U8S8" and ``reduce_range``
in the documentation of ONNX Runtime.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.errors import BundleDamagedError, FileUnreadableError
from heliograph.reading.files import read_bytes
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle

ANY, VNNI, ARM = "any", "vnni", "arm"
PROFILES = (ANY, VNNI, ARM)
"""Profiles of encoders in eight bits: for every processor; for x86 with VNNI; for Arm."""

PARITY = "parity.json"
"""The file of a bundle that says how its encoder was made."""

_X86 = ("x86_64", "amd64", "i686", "i386")
_VNNI_FLAGS = frozenset({"avx512_vnni", "avx512vnni", "avx_vnni", "avxvnni", "avx_vnni_int8"})
_ARM_FLAGS = frozenset({"asimddp", "i8mm"})
_CPUINFO = Path("/proc/cpuinfo")
_MAX_BYTES = 1 << 20
_MAX_CPUINFO_BYTES = 1 << 24

_damaged = partial(BundleDamagedError, BundlePart.PARITY)


@dataclass(frozen=True)
class Processor:
    """A processor.

    Attributes:
        machine: as the system calls its architecture, in small letters.
        features: those of VNNI, or of Arm's dot products, that it has; None where the system does not say.
    """

    machine: str
    features: frozenset[str] | None

    @property
    def saturates(self) -> bool:
        """Whether sums of eight-bit products may be cut off; so where an x86 system does not say."""
        return self.machine in _X86 and not (self.features or frozenset()) & _VNNI_FLAGS

    @property
    def text(self) -> str:
        """A line for people."""
        if self.machine not in _X86:
            found = ", ".join(sorted(self.features or ())) or "no dot products known of"
            return f"{self.machine} ({found}): sums of eight-bit products are exact"
        if not self.saturates:
            return f"{self.machine} with {', '.join(sorted(self.features or ()))}: sums of eight-bit products are exact"
        known = "without VNNI" if self.features is not None else "(VNNI not known of)"
        return f"{self.machine} {known}: sums of eight-bit products saturate where weights go beyond 63"


@lru_cache(maxsize=1)
def this_processor() -> Processor:
    """The processor of this machine."""
    try:
        text = read_bytes(_CPUINFO, max_bytes=_MAX_CPUINFO_BYTES).decode("utf-8", "replace")
    except FileUnreadableError:
        return Processor(platform.machine().lower(), None)
    return described(platform.machine().lower(), text)


def described(machine: str, cpuinfo: str) -> Processor:
    """Read Linux's description; a feature counts if every core has it.

    Args:
        machine: architecture.
        cpuinfo: the text of ``/proc/cpuinfo``.
    """
    heads = ("flags", "features")
    lines = [line.partition(":") for line in cpuinfo.lower().splitlines()]
    cores = [frozenset(words.split()) for head, _, words in lines if head.strip() in heads]
    if not cores:
        return Processor(machine, None)
    return Processor(machine, frozenset.intersection(*cores) & (_VNNI_FLAGS | _ARM_FLAGS))


def encoder_profile(bundle: Bundle) -> str | None:
    """The processors that a bundle's encoder was made for; None for float32, or where the bundle does not say.

    Raises:
        BundleDamagedError: it says nonsense.
    """
    if PARITY not in bundle.file_names:
        return None
    try:
        stated = read_json_object(bundle.file(PARITY), max_bytes=_MAX_BYTES, error=_damaged)
        if not str(stated["encoder"]).endswith("int8"):
            return None
        profile = stated.get("profile", VNNI)  # of bundles from before there were profiles
    except KeyError as error:
        raise _damaged(FileFault.CONTENT) from error
    if not isinstance(profile, str) or profile not in PROFILES:
        raise _damaged(BundleFault.UNKNOWN)
    return profile


def unsuited(bundle: Bundle, processor: Processor | None = None) -> str | None:
    """What is wrong with running a bundle's encoder here, for people; None where nothing is.

    Raises:
        BundleDamagedError: as :func:`encoder_profile`.
    """
    profile = encoder_profile(bundle)
    if profile in (None, ANY) or not (processor or this_processor()).saturates:
        return None
    return (
        f"the bundle's encoder was made for {profile}, and this processor is x86 without VNNI: its tokens are less "
        "exact than parity.json says; export with --int8 --device-profile any"
    )
