"""One device's connection, from the first byte of its greeting to the end, and what becomes of its session then.

Four tasks: the reader takes messages, the writer carries what the session has queued (a slow device holds up nobody
else), the observer measures new prefixes, and now and then somebody ends what waits for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets

from heliograph.errors import (
    ConnectionLostError,
    HeliographError,
    ServerBusyError,
    TimedOutError,
    TooManyError,
    UnauthorizedError,
)
from heliograph.protocol.events import Event, HelloReceived, SessionClosed
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.limits import SESSION_TOKEN_BYTES
from heliograph.protocol.session import CloudSession
from heliograph.serving.access_log import Visitor, token_label
from heliograph.serving.admission.door import address_of
from heliograph.serving.admission.guest import Guest
from heliograph.serving.attending import Attendant
from heliograph.serving.holding import SESSION_BYTES, Account
from heliograph.serving.kept import KeptSession, Owner
from heliograph.serving.reading import Reader
from heliograph.serving.shared import Shared
from heliograph.serving.tracing import SessionTrace
from heliograph.serving.turns import Allowance
from heliograph.serving.writing import Writer
from heliograph.strategies.selection import needs_bundle
from heliograph.transport.base import NORMAL_CLOSURE, TRY_AGAIN_LATER, ServedConnection

log = logging.getLogger("heliograph.serving")

_GOODBYE_S = 10.0
_TIDY_SHARE = 8  # checks within the shortest time that is checked


class DeviceConnection:
    """Serves one open connection until either side ends it.

    Args:
        connection: to the device, whatever carries it.
        shared: of the server.
        guest: how it stands with the door of the server; None where there is no door.
        allowance: of processor time for this device; None for a new one.

    Attributes:
        account: of the memory of its session.
    """

    def __init__(
        self,
        connection: ServedConnection,
        shared: Shared,
        guest: Guest | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self._connection, self._shared, self._metrics = connection, shared, shared.metrics
        self._guest = guest or Guest()
        self._error: type[HeliographError] | None = None  # what ended the session
        cloud, limits, clock = shared.cloud, shared.limits, shared.clock
        self._token = secrets.token_bytes(SESSION_TOKEN_BYTES)
        self._session = CloudSession(
            cloud.bundle_hash,
            shared.access_tokens,
            cloud.model.name,
            session_token=self._token if limits.keep_s > 0 else b"",
            recall=self._recall,
            keys=shared.keys,
            is_new_nonce=shared.nonces.is_new,
            admit=self._admit,
            needs_bundle=needs_bundle,
        )
        self.account = Account(shared.metrics)
        self._writer = Writer(
            connection, self._session, shared.metrics, limits.send_timeout_s, limits.max_unsent_bytes, self._go_on
        )
        self._attendant = Attendant(self._session, shared, self._writer, self._count)
        self._trace: SessionTrace | None = None
        if shared.trace is not None:
            self._trace = shared.trace.connection(self._session, self._attendant.desk.book)
            self._attendant.trace = self._trace
        allowance = allowance if allowance is not None else Allowance(shared.turns, clock())
        self._reader = Reader(connection, self._session, self._writer, allowance, shared.metrics, clock)
        self._hello_by_s = clock() + limits.hello_timeout_s
        self._memory: SessionMemory | None = None  # of a session that can be taken up again
        self._broke = False
        self._serving: asyncio.Task[None] | None = None
        self._ending = False

    async def run(self) -> None:
        """Serve; never raises on what the device does."""
        self._serving = serving = asyncio.current_task()
        assert serving is not None, "a coroutine runs in a task"
        self._shared.holdings.move_in(self)
        self._count()
        helpers = [asyncio.create_task(work()) for work in (self._write, self._attendant.observer.run, self._tidy)]
        try:
            await self._read()
        except asyncio.CancelledError:
            if not self._ending:
                raise
            serving.uncancel()
        finally:
            self._serving = None
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._leave()
            self._guest.over()
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """What is queued, and an orderly close, where the device still listens."""
        if self._broke:
            return
        with contextlib.suppress(ConnectionLostError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._writer.flush()
                await self._connection.close(TRY_AGAIN_LATER if self._error is ServerBusyError else NORMAL_CLOSURE)

    def _end(self) -> None:
        """Stop serving, from any task."""
        if not self._ending and self._serving is not None:
            self._ending = True
            self._serving.cancel()

    # ---- a session that outlives its connection ------------------------------------------------------
    def _owner(self) -> Owner:
        digest = self._session.owner
        if self._shared.access_tokens:
            return Owner(digest, digest)
        return Owner(digest, self._connection.address.encode())

    def _admit(self, token: bytes) -> None:
        """Note a HELLO that was let in, with the token of the session that it goes on with; empty for a new one."""
        party = self._shared.parties.of(self._party_key())
        if not token and self._shared.refuses(party, self._shared.clock()):
            self._metrics.sessions_refused_total += 1
            raise ServerBusyError
        self._guest.admit(self._shared.kept.is_served(token, self._owner()))
        self._attendant.join(party)

    def _party_key(self) -> bytes:
        """Who shares the model with others as one: by what tells devices apart here. A token or key that all of them
        show does not, and a transport without addresses gives every connection a share of its own."""
        if len(self._shared.access_tokens) > 1:
            return self._session.owner
        if len(self._shared.keys) > 1:
            return self._session.key_digest
        return address_of(self._connection.address).encode() or self._token

    def _recall(self, token: bytes) -> SessionMemory | None:
        kept = self._shared.kept.recall(token, self._owner())
        if kept is None:
            return None
        self.account.close()
        self._token, self._attendant.desk, self.account = token, kept.desk, kept.account
        if self._trace is not None:
            self._trace.resume(kept.traced, kept.desk.book)
        return kept.memory

    def _give_up(self) -> KeptSession:
        """The session without its connection; this one has an empty one instead."""
        assert self._memory is not None, "only a session that can be taken up again is registered"
        desk = self._attendant.stop()
        desk.interrupt(self._shared.clock())
        kept = KeptSession(self._memory, desk, self.account, 0 if self._trace is None else self._trace.number)
        self._memory, self.account = None, Account(self._metrics)
        self._session.close()
        return kept

    def hand_over(self) -> KeptSession:
        """Give the session to a newer connection of the same device and end this one."""
        kept = self._give_up()
        self._end()
        return kept

    def _leave(self) -> None:
        """Keep the session where its connection broke; otherwise it is over."""
        self._shared.holdings.move_out(self)
        if self._trace is not None:
            self._trace.closed(ConnectionLostError if self._broke or self._reader.broke else self._error)
        if self._memory is not None and (self._broke or self._reader.broke):
            owner = self._owner()
            self._shared.kept.keep(self._token, self._give_up(), owner)
        elif self._memory is not None:
            self._shared.kept.end(self._token)
        self._attendant.stop()
        self.account.close()

    # ---- memory --------------------------------------------------------------------------------------
    def _count(self) -> None:
        """Count what the session holds, and make room where all of them hold too much."""
        session = self._session.held_bytes + self._session.draft_bytes + self._writer.held_bytes
        self.account.set(SESSION_BYTES + self._attendant.desk.held_bytes + session)
        if self._shared.holdings.full:
            self._shared.holdings.make_room(self._shared.kept)

    def shed(self) -> None:
        """Give back what can be made again."""
        before = self._attendant.desk.held_bytes
        self._attendant.desk.drop_tokens()
        if self._trace is not None:
            self._trace.tokens_dropped()
        self.account.set(self.account.held_bytes + self._attendant.desk.held_bytes - before)

    def evict(self) -> None:
        """End the session, as there is no room for it; one that needs most of the room alone is told so."""
        alone = 2 * self.account.held_bytes > self._shared.limits.max_held_bytes
        self._fail_session(TooManyError() if alone else ServerBusyError())
        if self._trace is not None:
            self._trace.evicted(TooManyError if alone else ServerBusyError)
        self._attendant.stop()
        self.account.set(SESSION_BYTES)
        self._end()

    # ---- from the device ---------------------------------------------------------------------------
    async def _read(self) -> None:
        while not self._session.closed:
            try:
                data = await self._reader.message(self._hello_by_s, self._shared.limits.idle_timeout_s)
            except TimeoutError:
                if not self._attendant.has_pending_answer():
                    self._fail_session(TimedOutError())
                continue
            except HeliographError as error:
                self._fail_session(error)
                continue
            await self._reader.take(data, self._on_event, self._on_slice)
            if self._error is UnauthorizedError:
                await self._guest.refuse()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, HelloReceived):
            token = token_label(self._session.owner) if self._shared.access_tokens else ""
            self._attendant.visitor = Visitor(self._connection.address, token)
            log.debug("session of %s begins", self._connection.address or "-")
            if event.resumable:
                self._memory = self._session.memory
                self._shared.kept.serve(self._token, self, self._owner())
            return
        if isinstance(event, SessionClosed):
            self._error = event.error_class
        self._attendant.on_event(event)

    def _on_slice(self) -> None:
        if self._error is not UnauthorizedError:  # the answer to a wrong token takes its time
            self._writer.wake()
        self._count()

    def _fail_session(self, error: HeliographError) -> None:
        self._metrics.errors_total += 1
        self._error = type(error)
        self._session.send_error(error, None)

    # ---- to the device -----------------------------------------------------------------------------
    def _go_on(self) -> None:
        self._attendant.advance()

    async def _write(self) -> None:
        try:
            await self._writer.run()
        except TimeoutError:  # it takes nothing more: broken off, and kept for a better connection
            self._broke = True
            self._end()
        except ConnectionLostError:
            pass  # the reader hears of it too

    # ---- now and then --------------------------------------------------------------------------------
    async def _tidy(self) -> None:
        limits = self._shared.limits
        shortest_s = min(s for s in (limits.question_timeout_s, limits.retain_s) if s is not None)
        while True:
            await asyncio.sleep(shortest_s / _TIDY_SHARE)
            self._attendant.tidy()
            self._count()
