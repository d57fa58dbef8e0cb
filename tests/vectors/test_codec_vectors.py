"""Golden vectors: header, codeword and ``.hgs`` file pinned byte for byte. A change here is a wire-format change.

The codec and its tokens are those of ``tests/support/integer_codec.py``. Headers and codewords are what
``tests/interop/bitstream.js``, written from ``docs/bitstream.md`` alone, makes of them.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec.container import read_stream, write_stream
from heliograph.codec.klt import KltCodec
from heliograph.codec.range_coder import CostRuns, RunDecoder, RunEncoder
from heliograph.codec.storage import read_arrays, write_arrays
from heliograph.errors import BundleDamagedError, StreamVersionError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.types import VisualTokens
from integer_codec import integer_codec, integer_tokens

# (factor of the tokens, fineness): header, codeword
VECTORS = {
    (7, 0): ("80", "e8978fa6834b96f7989152d001c523"),
    (10, 0): ("80", "e62d47e1a5495d647f9df66043a42130"),
    (7, 3): ("98", "d8a0ab14884e3076ccc4cd9af4e502fe"),
    (10, 7): ("b8", "fc69ab6db863c7773e42b7fe824f90961d"),
}
TILED = (
    "930203028005e003db",
    "b6fe63472148a0d54d092e73fc5ac70aec829222fda685e880c2193fb5d5fe6f877f",
)
HGS_FILE = "48475301010102030405060708018004050404026586c02de8978fa683134b96f798209152d001f2c523d3"
RUN_WORDS = "86925e686da407"
BEFORE = ("00902e", "008d7d", "039a0203028005e0030f")
"""Headers of the format before; of the codec of the same integers."""
BEFORE_HGS_FILE = "484753010101020304050607080300902e0208074aed082fefb109547f45a7e0acaeeeca85975d2fb7"


@pytest.mark.parametrize(("factor", "fineness"), VECTORS)
def test_header_and_codeword(factor: int, fineness: int) -> None:
    codec, tokens = integer_codec(), integer_tokens(factor)
    encoded = codec.encode(tokens, fineness=fineness)
    assert (encoded.header.hex(), b"".join(encoded.segments).hex()) == VECTORS[factor, fineness]
    header, codeword = (bytes.fromhex(part) for part in VECTORS[factor, fineness])
    limits = np.array([31, 31, 15, 7])  # the planes that each component takes part in
    whole = np.trunc(tokens.values.astype(np.float64) * 2 ** (fineness / 8)).astype(np.int64)
    assert np.array_equal(codec.decode_integers(header, [codeword])[0], np.clip(whole, -limits, limits))


def test_tiles_and_photo_size() -> None:
    codec, tokens = integer_codec(), integer_tokens(5, tiles=2)
    tokens = VisualTokens(tokens.values, replace(tokens.grid, photo_width=640, photo_height=480))
    encoded = codec.encode(tokens, fineness=2)
    assert (encoded.header.hex(), b"".join(encoded.segments).hex()) == TILED
    assert codec.decode(encoded.header, encoded.segments).grid == tokens.grid


def crc8_of(data: bytes) -> int:
    """Long division by x^8 + x^2 + x + 1, start 0xFF."""
    remainder = 0xFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x107 if remainder & 0x80 else 0)
    return remainder


def test_file() -> None:
    encoded = replace(integer_codec().encode(integer_tokens(7)), bundle_hash=bytes.fromhex("0102030405060708"))
    assert write_stream(encoded).hex() == HGS_FILE
    found = read_stream(bytes.fromhex(HGS_FILE))
    assert (found.header, found.segments, found.bundle_hash) == (encoded.header, encoded.segments, encoded.bundle_hash)
    written = b"HGS\1\1" + encoded.bundle_hash + b"\1\x80" + bytes((len(found.segments), *map(len, found.segments)))
    written += zlib.crc32(written).to_bytes(4, "little")
    for number, segment in enumerate(found.segments):
        written += segment + bytes((crc8_of(bytes((number,)) + segment),))
    assert written.hex() == HGS_FILE


def test_streams_of_the_format_before_are_refused_by_name() -> None:
    codec = integer_codec()
    found = read_stream(bytes.fromhex(BEFORE_HGS_FILE))  # the file is the same, its header is not
    assert found.header == bytes.fromhex(BEFORE[0])
    for header in (*map(bytes.fromhex, BEFORE), found.header):
        for read in (codec.decode, codec.decode_integers, codec.retained_energy, codec.level):
            with pytest.raises(StreamVersionError):
                read(header, found.segments)
        with pytest.raises(StreamVersionError):
            codec.stated_grid(header)


def test_tables_of_the_format_before_are_refused_by_name(tmp_path: Path) -> None:
    """What format 3 had: costs and ranks by plane and pass, chances of signs, no log odds."""
    integer_codec(contexts=False).save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "klt")
    assert facts["format"] == 4
    for name in ("logit", "chance", "quiet_square", "sign_logit"):
        del arrays[name]
    classes = np.arange(128, dtype=np.int32)
    arrays["cost"], arrays["rank"] = (np.broadcast_to(one, (5, 2, 128)) for one in (classes + 1, classes))
    arrays["sign_chance"] = np.full((9, 5), 32768, dtype=np.int32)
    write_arrays(tmp_path, "klt", {**facts, "format": 3, "energy_unit": 400_000}, arrays)
    with pytest.raises(BundleDamagedError) as found:
        KltCodec.load(tmp_path)
    assert (found.value.part, found.value.fault) == (BundlePart.TABLES, BundleFault.FORMAT)


def test_run_coder_words() -> None:
    costs = np.array([1, 40, 4096, 900, 20480, 2000, 3, 8192] * 6)
    ones, chances = [2, 4, 11, 12, 29, 47], [0, 32768, 1024, 64512, 0, 20000]
    negative = [False, True, False, True, False, True]
    runs, encoder = CostRuns(np.ones(len(costs), dtype=np.int64), costs), RunEncoder()
    encoder.encode_pass(runs, np.array(ones), chances, negative)
    assert encoder.finish().hex() == RUN_WORDS
    sign = np.zeros(len(costs), dtype=np.int64)
    for position, chance in zip(ones, chances, strict=True):
        sign[position] = chance
    result = RunDecoder(bytes.fromhex(RUN_WORDS)).decode_pass(runs, sign)
    assert (result.ones, result.negative, result.done) == (ones, negative, len(costs))
