"""A greeting and no question, against a scripted cloud."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.edge.greeting import greet
from heliograph.errors import UnauthorizedError
from heliograph.protocol.events import Event, HelloReceived
from heliograph.transport.base import Connection
from scripted_cloud import Cloud


async def nothing(cloud: Cloud, event: Event) -> None:
    return None


@pytest.mark.parametrize("token", ["right", "wrong"])
def test_a_device_hears_whether_it_is_let_in_and_leaves(token: str) -> None:
    async def whole() -> None:
        cloud, ends = Cloud(nothing, frozenset({"right"})), list[Connection]()

        async def connect() -> Connection:
            ends.append(await cloud.open())
            return ends[-1]

        if token == "right":
            welcome = await greet(connect, b"12345678", token)
            assert (welcome.bundle_hash, welcome.held) == (b"", None)
            assert cloud.of(HelloReceived)[0].bundle_hash == b"12345678"
        else:
            with pytest.raises(UnauthorizedError):
                await greet(connect, b"12345678", token)
        assert ends[0]._outgoing.closed  # type: ignore[attr-defined]

    asyncio.run(asyncio.wait_for(whole(), 20))
