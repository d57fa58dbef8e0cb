"""What a stream restores of its photo, and what is only typical of its codec, told apart for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle
    from heliograph.types import EncodedImage


def quality_facts(prefix: EncodedImage, bundle: Bundle | None) -> dict[str, float | None]:
    """JSON values about a prefix of a stream; None where the codec cannot tell, or is not at hand.

    ``predicted_quality``: share of this photo's token energy that the prefix restores. ``typical_quality``: the share
    that as much restored of held-out photos, in its place where the codec knows no other; less for photos that it
    restores worse than those. ``restored``: share of how much this photo's tokens vary that the whole stream restores,
    where the device has measured it.
    """
    from heliograph.codec.fallback import photo_misfit, written_by  # numpy, which --help does without

    kind, header = written_by(prefix)
    facts: dict[str, float | None] = {"predicted_quality": None, "typical_quality": None, "restored": None}
    if bundle is None or kind not in bundle.codec_kinds:
        return facts
    codec, found = bundle.codec(kind), photo_misfit(prefix, bundle.familiarity)
    name = "predicted_quality" if codec.energy_of_photo else "typical_quality"
    facts[name] = round(codec.retained_energy(header, prefix.segments), 4)
    if found is not None and codec.learned:
        facts["restored"] = round(max(1 - found, 0.0), 4)
    return facts
