"""The device process stays within its bounds, whatever photo it is given: measured in processes of their own."""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.hardening.photo_files import SMALL, OddPhoto, odd_photos, picture
from heliograph.bench.hardening.photo_memory import PhotoMemory, photo_memory, worst


def test_the_list_names_sixty_odd_files_once() -> None:
    names = [photo.name for photo in odd_photos()]
    assert len(set(names)) == len(names) >= 60
    assert names[0] == SMALL


def test_peaks_stay_within_bounds(tmp_path: Path) -> None:
    """Three of them: a turned one, one that is read in strips, and one whose decoder scales it."""
    wanted = (SMALL, "12mp-portrait.jpg", "24mp-transparent.png", "24mp.webp")
    listed = {photo.name: photo for photo in odd_photos()}
    too_large = OddPhoto("60mp.tif", lambda path: picture((10_000, 6000), "L").convert("CMYK").save(path, "TIFF"))
    found = list(photo_memory(tmp_path, [*(listed[name] for name in wanted), too_large]))
    assert [one.error for one in found] == [None, None, None, None, "photo-too-large"]
    assert [one.size for one in found] == [(1152, 864), (3024, 4032), (3000, 2000), found[3].size, None]
    largest, ratio = worst(found)
    assert largest.peak_mb <= 200
    assert ratio <= 1.7


def test_the_worst_is_the_largest_that_was_accepted() -> None:
    def one(name: str, peak_mb: float, error: str | None = None) -> PhotoMemory:
        return PhotoMemory(name, peak_mb, 0.1, None if error else (1, 1), error)

    found = [one(SMALL, 100), one("a.png", 150), one("b.png", 900, "photo-too-large")]
    assert worst(found) == (found[1], 1.5)
