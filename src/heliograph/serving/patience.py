"""How long a draft is held back: where the rest of the photo comes sooner, a draft only makes the final answer late.

The model works on one answer at a time, so a draft begun a moment before the photo is complete costs a whole answer
that nobody needs. When the photo will be complete is not known; as in the ski rental problem (Karlin et al.,
"Competitive snoopy caching", 1988) a wait in proportion to what is at stake bounds the regret on either side: the
first draft comes later by at most a share of an answer's usual time.
"""

from __future__ import annotations

DRAFT_PATIENCE = 0.25
"""Share of an answer's usual time that new segments must have waited before they are worth a draft."""

_MEMORY = 0.2  # weight of the newest answer in the running mean


class DraftPatience:
    """What an answer usually takes on this server, and the wait that follows from it; shared by all sessions.

    Args:
        share: of that time, 0 for drafts at once.
    """

    def __init__(self, share: float = DRAFT_PATIENCE) -> None:
        self._share = share
        self._usual_s: float | None = None

    def note_answer(self, seconds: float) -> None:
        """An answer that began without a draft took so long, restoring included."""
        known = self._usual_s
        self._usual_s = seconds if known is None else known + _MEMORY * (seconds - known)

    @property
    def usual_s(self) -> float:
        """Seconds that an answer takes; none before the first answer."""
        return self._usual_s or 0.0

    @property
    def wait_s(self) -> float:
        """Seconds where final answers do not wait; none before the first answer."""
        return self._share * self.usual_s

    def wait_beside(self, queueing_s: float) -> float:
        """Seconds where final answers wait so long for the model: what a draft takes, others wait for as well."""
        return self.wait_s + self._share * queueing_s
