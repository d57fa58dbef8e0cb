"""What is counted of a file beside its picture, byte by byte: sizes of TIFF 6.0, BigTIFF, JPEG and PNG."""

from __future__ import annotations

import io
import struct

import pytest

from heliograph.edge.photos import extras as photo_extras
from heliograph.edge.photos.extras import check_extras
from heliograph.errors import PhotoTooLargeError


def refused(data: bytes, file_bytes: int | None = None) -> bool:
    file = io.BytesIO(data)
    try:
        check_extras(file, len(data) if file_bytes is None else file_bytes)
    except PhotoTooLargeError:
        return True
    finally:
        assert file.tell() == 0
    return False


def counted(data: bytes, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's extras are so many bytes: they are the least bound that lets it in."""
    monkeypatch.setattr(photo_extras, "MAX_EXTRA_BYTES", expected)
    assert not refused(data)
    monkeypatch.setattr(photo_extras, "MAX_EXTRA_BYTES", expected - 1)
    assert refused(data)


# ---- TIFF ----------------------------------------------------------------------------------------------
def tiff(order: str, big: bool, *directories: list[tuple[int, int]]) -> bytes:
    """Directories of entries (type, count), each behind the one before."""
    mark = {("<", False): b"II*\0", (">", False): b"MM\0*", ("<", True): b"II+\0", (">", True): b"MM\0+"}[order, big]
    data = mark + (struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8))
    for place, entries in enumerate(directories):
        body = b"".join(
            struct.pack(order + "HHQQ", 270, kind, count, 0)
            if big
            else struct.pack(order + "HHII", 270, kind, count, 0)
            for kind, count in entries
        )
        head = struct.pack(order + ("Q" if big else "H"), len(entries))
        last = place == len(directories) - 1
        following = 0 if last else len(data) + len(head) + len(body) + (8 if big else 4)
        data += head + body + struct.pack(order + ("Q" if big else "I"), following)
    return data


TYPES = [(1, 1), (2, 1), (3, 2), (4, 4), (5, 8), (6, 1), (7, 1), (8, 2), (9, 4), (10, 8), (11, 4), (12, 8), (13, 4)]
BIG_TYPES = [(16, 8), (17, 8), (18, 8)]


@pytest.mark.parametrize(("kind", "size"), [*TYPES, *BIG_TYPES, (14, 1), (15, 1), (19, 1), (99, 1)])
def test_values_of_every_type(kind: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(tiff("<", False, [(kind, 100)]), 100 * size, monkeypatch)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_every_value_of_every_directory(order: str, big: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(tiff(order, big, [(2, 300), (3, 40)], [(4, 5)], [(2, 7)]), 300 + 80 + 20 + 7, monkeypatch)


def test_a_directory_that_is_cut_counts_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff("<", False, [(2, 300), (2, 40)])
    counted(data[: 8 + 2 + 12 + 11], 300, monkeypatch)


# ---- JPEG ----------------------------------------------------------------------------------------------
def segment(marker: int, length: int) -> bytes:
    """``length`` counts its own two bytes."""
    return bytes([0xFF, marker]) + length.to_bytes(2, "big") + bytes(length - 2)


def test_everything_before_the_first_scan_and_fill_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    start, scan = b"\xff\xd8", segment(0xDA, 12)
    data = start + segment(0xE1, 500) + b"\xff\xff" + segment(0xFE, 30) + scan + segment(0xE2, 9000)
    counted(data, 500 + 2 + 30, monkeypatch)


def test_segments_end_where_no_marker_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    counted(b"\xff\xd8" + segment(0xE0, 100) + b"\0" + segment(0xE0, 900), 100, monkeypatch)


def test_a_segment_shorter_than_its_own_length_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    counted(b"\xff\xd8" + b"\xff\xe0\0\0" + segment(0xE0, 100), 100, monkeypatch)


@pytest.mark.parametrize(("parts", "too_many"), [(65_537, False), (65_538, True)])
def test_parts_have_a_number(parts: int, too_many: bool) -> None:
    assert refused(b"\xff\xd8" + segment(0xE0, 2) * parts) is too_many


# ---- PNG -----------------------------------------------------------------------------------------------
def test_all_chunks_but_those_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def chunk(name: bytes, length: int) -> bytes:
        return length.to_bytes(4, "big") + name + bytes(length + 4)

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", 13) + chunk(b"tEXt", 200) + chunk(b"IDAT", 5000) + chunk(b"IDAT", 9)
    counted(data + chunk(b"eXIf", 70), 13 + 200 + 70, monkeypatch)


# ---- what is bounded as a whole --------------------------------------------------------------------------
@pytest.mark.parametrize("head", [b"RIFF\0\0\0\0WEBP", b"GIF89a", b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypheic"])
def test_64_megabytes_of_a_format_that_is_read_whole(head: bytes) -> None:
    assert not refused(head, 64_000_000)
    assert refused(head, 64_000_001)


def test_other_files_have_no_bound_here() -> None:
    assert not refused(b"BM" + bytes(20), 10**9)
    assert not refused(b"\0\0\0\0ftyq" + bytes(8), 10**9)


def test_twelve_megabytes_beside_a_picture() -> None:
    assert not refused(tiff("<", False, [(2, 12_000_000)]))
    assert refused(tiff("<", False, [(2, 12_000_001)]))
