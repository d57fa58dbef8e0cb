"""Which frame may travel when: one table for both ends, printed in ``docs/protocol.md``."""

from __future__ import annotations

from enum import Enum

from heliograph.errors import ProtocolStateError
from heliograph.protocol.frames import FrameType


class State(Enum):
    """Life of a session. A device may send everything after HELLO without waiting for WELCOME."""

    NEW = "new"
    GREETED = "greeted"
    OPEN = "open"
    CLOSED = "closed"


FROM_DEVICE = (
    FrameType.QUESTION,
    FrameType.IMAGE,
    FrameType.SEGMENT,
    FrameType.IMAGE_END,
    FrameType.CANCEL,
    FrameType.FORGET,
    FrameType.CROP,
)
FROM_CLOUD = (FrameType.DRAFT, FrameType.FINAL, FrameType.ENOUGH, FrameType.MORE, FrameType.REGION)

Table = dict[tuple[State, FrameType], State]

DEVICE_SENDS: Table = {
    (State.NEW, FrameType.HELLO): State.GREETED,
    **{(state, type_): state for state in (State.GREETED, State.OPEN) for type_ in (*FROM_DEVICE, FrameType.ERROR)},
}
DEVICE_RECEIVES: Table = {
    (State.GREETED, FrameType.WELCOME): State.OPEN,
    (State.GREETED, FrameType.ERROR): State.GREETED,
    **{(State.OPEN, type_): State.OPEN for type_ in (*FROM_CLOUD, FrameType.ERROR)},
}
CLOUD_RECEIVES: Table = {
    (State.NEW, FrameType.HELLO): State.GREETED,
    **{(State.OPEN, type_): State.OPEN for type_ in (*FROM_DEVICE, FrameType.ERROR)},
}
CLOUD_SENDS: Table = {
    (State.NEW, FrameType.ERROR): State.NEW,
    (State.GREETED, FrameType.ERROR): State.GREETED,
    (State.GREETED, FrameType.WELCOME): State.OPEN,
    **{(State.OPEN, type_): State.OPEN for type_ in (*FROM_CLOUD, FrameType.ERROR)},
}


def next_state(table: Table, state: State, type_: FrameType) -> State:
    """The state after a frame of this type.

    Raises:
        ProtocolStateError: the frame is not allowed in this state.
    """
    following = table.get((state, type_))
    if following is None:
        raise ProtocolStateError
    return following
