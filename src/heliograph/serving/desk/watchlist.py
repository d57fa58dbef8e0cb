"""Photos to look at again: to be measured, and their controllers asked. No I/O."""

from __future__ import annotations


class Watchlist:
    """Each photo at most once, the oldest change first.

    Of a photo whose measuring was put off, only the newest prefix will be measured.
    """

    def __init__(self) -> None:
        self._changed: dict[int, None] = {}
        self._put_off: dict[int, None] = {}

    def __len__(self) -> int:
        """Photos that can be looked at now."""
        return len(self._changed)

    def add(self, image_id: int) -> None:
        """A photo, or what is asked about it, has changed."""
        self._put_off.pop(image_id, None)
        self._changed[image_id] = None

    def take(self) -> int:
        """The one that comes next."""
        image_id = next(iter(self._changed))
        del self._changed[image_id]
        return image_id

    def postpone(self, image_id: int) -> None:
        """Measure the photo later; until then nothing but a change brings it back."""
        self._put_off[image_id] = None

    def resume(self) -> None:
        """What was put off can be measured now, before what has changed since."""
        self._changed = self._put_off | self._changed
        self._put_off = {}

    def discard(self, image_id: int) -> None:
        """A photo is not held any more."""
        self._put_off.pop(image_id, None)
        self._changed.pop(image_id, None)

    def clear(self) -> None:
        """Look at no photo."""
        self._changed, self._put_off = {}, {}
