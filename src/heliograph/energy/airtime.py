"""How long packets are on the air, in seconds.

LoRa after Semtech's data sheet of the SX1276 (section 4.1.1.6) and application note AN1200.13::

    |  preamble + 4.25 symbols  |  8 + ceil((8 n - 4 SF + 28 + 16 CRC - 20 IH) / (4 (SF - 2 DE))) x CR symbols  |
      symbol: 2^SF / bandwidth; DE: low data rate optimisation, from symbols of 16 ms on; IH: header left out

with n bytes of payload of the physical layer and CR 5 to 8 for 4/5 to 4/8 (0 symbols where the fraction is below 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from heliograph.errors import UsageError

MAX_LORA_BYTES = 255
_SYNC_SYMBOLS = 4.25
_SLOW_SYMBOL_S = 0.016
_FIXED_SYMBOLS = 8


class Airtime(Protocol):
    """Seconds on the air of one packet."""

    def seconds(self, packet_bytes: int) -> float:
        """Airtime of a packet of that many bytes, its headers included."""


@dataclass(frozen=True)
class LoRa:
    """LoRa modulation.

    Attributes:
        spreading_factor: 7 to 12.
        bandwidth_hz: such as 125000.
        coding_rate: 5 to 8, for 4/5 to 4/8.
        preamble_symbols: 8 in LoRaWAN, 16 in Meshtastic.
        header: explicit header.
        crc: of the payload.
        low_data_rate: low data rate optimisation; None for where a symbol takes 16 ms or more.

    Raises:
        UsageError: a value is out of range.
    """

    spreading_factor: int
    bandwidth_hz: float
    coding_rate: int = 5
    preamble_symbols: int = 8
    header: bool = True
    crc: bool = True
    low_data_rate: bool | None = None

    def __post_init__(self) -> None:
        if not 7 <= self.spreading_factor <= 12:
            raise UsageError.of_argument("spreading_factor", "7 to 12", self.spreading_factor)
        if not 5 <= self.coding_rate <= 8:
            raise UsageError.of_argument("coding_rate", "5 to 8 (for 4/5 to 4/8)", self.coding_rate)
        if not 0 < self.bandwidth_hz < math.inf:
            raise UsageError.of_argument("bandwidth_hz", "a number above 0", self.bandwidth_hz)
        if not 6 <= self.preamble_symbols <= 65_535:
            raise UsageError.of_argument("preamble_symbols", "6 to 65535", self.preamble_symbols)

    @property
    def symbol_s(self) -> float:
        """Seconds of one symbol."""
        return float(2**self.spreading_factor) / self.bandwidth_hz

    def seconds(self, packet_bytes: int) -> float:
        """Airtime of 0 to 255 bytes.

        Raises:
            UsageError: more bytes than a packet holds.
        """
        if not 0 <= packet_bytes <= MAX_LORA_BYTES:
            raise UsageError.of_argument("packet_bytes", f"0 to {MAX_LORA_BYTES}", packet_bytes)
        slow = self.symbol_s >= _SLOW_SYMBOL_S if self.low_data_rate is None else self.low_data_rate
        bits = 8 * packet_bytes - 4 * self.spreading_factor + 28 + 16 * self.crc - 20 * (not self.header)
        blocks = max(0, math.ceil(bits / (4 * (self.spreading_factor - 2 * slow))))
        return (self.preamble_symbols + _SYNC_SYMBOLS + _FIXED_SYMBOLS + blocks * self.coding_rate) * self.symbol_s


@dataclass(frozen=True)
class Rate:
    """A radio that sends at a rate.

    Attributes:
        bit_s: bits per second.
        packet_s: seconds of each packet besides its bits, such as a preamble.
    """

    bit_s: float
    packet_s: float = 0.0

    def seconds(self, packet_bytes: int) -> float:
        """Airtime of a packet of that many bytes."""
        return self.packet_s + 8 * packet_bytes / self.bit_s


@dataclass(frozen=True)
class Transfer:
    """A message service that says how long transfers take.

    Attributes:
        base_s: seconds of a message of up to ``base_bytes``.
        base_bytes: bytes that the shortest transfer holds.
        byte_s: seconds of every further byte.
    """

    base_s: float
    base_bytes: int
    byte_s: float

    def seconds(self, packet_bytes: int) -> float:
        """Time of one message."""
        return self.base_s + max(0, packet_bytes - self.base_bytes) * self.byte_s
