"""Registered at every PBX at once, so that a call finds another way when one is gone.

PJSIP refreshes a registration that holds; one that fails is tried again here, with jitter.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from ...hal.backoff import Backoff, Waits
from .agent import Agent
from .errors import AgentError
from .events import Account, Event, RegistrationChanged

logger = logging.getLogger(__name__)
DIRECT = "direct"
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is logged in, in the words of SIP."""

    username: str
    password: str
    domain: str

    @property
    def address_of_record(self) -> str:
        """``sip:1001@turret.example``."""
        return f"sip:{self.username}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Registration:
    """How we stand with one PBX.

    Attributes:
        account: The agent's name for it.
        server: ``address:port``.
        registered: Whether it holds now.
        status: The last answer, 0 before the first.
        reason: Its words.
    """

    account: str
    server: str
    registered: bool = False
    status: int = 0
    reason: str = "not yet"


class Registrations:
    """One account per PBX, and ``direct`` for peers that we call without a PBX.

    Args:
        agent: Sends the REGISTERs.
        servers: ``address:port`` in order of preference.
        rng: Spreads the retries.
        changed: Called whenever how we stand with a PBX changes.
        expires_s: How long a registration is asked to last.
    """

    def __init__(
        self,
        agent: Agent,
        servers: tuple[str, ...],
        rng: random.Random,
        changed: Callable[[], None],
        *,
        expires_s: int = 60,
    ) -> None:
        self._agent = agent
        self._changed = changed
        self._expires_s = expires_s
        self._states = {f"pbx-{n}": Registration(f"pbx-{n}", s) for n, s in enumerate(servers, 1)}
        backoff = Backoff(first_s=FIRST_RETRY_S, cap_s=LAST_RETRY_S, jitter=0.5, rng=rng)
        self._waits = {name: Waits(backoff) for name in self._states}
        self._retries: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def states(self) -> tuple[Registration, ...]:
        """How we stand with every PBX, in order of preference."""
        return tuple(self._states.values())

    def accounts(self) -> tuple[str, ...]:
        """Returns the accounts to call with: registered ones first, each group in order."""
        ranked = sorted(self._states.values(), key=lambda state: not state.registered)
        return tuple(state.account for state in ranked)

    def server(self, account: str) -> str:
        """Returns ``address:port`` of an account's PBX."""
        return self._states[account].server

    async def start(self, identity: Identity) -> None:
        """Adds the accounts; every PBX gets its REGISTER now.

        Raises:
            AgentError: PJSIP refused.
        """
        self._unsubscribe = self._agent.subscribe(self._hear)
        await self._agent.add_account(Account(DIRECT, identity.address_of_record))
        for state in self._states.values():
            await self._agent.add_account(self._account(state, identity))

    async def stop(self) -> None:
        """Unregisters everywhere."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._unsubscribe = None
        for handle in self._retries.values():
            handle.cancel()
        self._retries.clear()
        for name in (*self._states, DIRECT):
            await self._agent.remove_account(name)
        self._states = {n: Registration(n, s.server) for n, s in self._states.items()}

    def _account(self, state: Registration, identity: Identity) -> Account:
        return Account(
            state.account,
            identity.address_of_record,
            registrar=f"sip:{state.server}",
            username=identity.username,
            password=identity.password,
            expires_s=self._expires_s,
        )

    def _hear(self, event: Event) -> None:
        if not isinstance(event, RegistrationChanged) or event.account not in self._states:
            return
        before = self._states[event.account]
        state = Registration(
            event.account, before.server, event.registered, event.status, event.reason
        )
        self._states[event.account] = state
        self._follow_up(state)
        if state != before:
            logger.info("PBX %s: %d %s", state.server, state.status, state.reason)
            self._changed()

    def _follow_up(self, state: Registration) -> None:
        pending = self._retries.pop(state.account, None)
        if pending is not None:
            pending.cancel()
        waits = self._waits[state.account]
        if state.registered:
            waits.reset()
            return
        loop = asyncio.get_running_loop()
        self._retries[state.account] = loop.call_later(
            waits.next_s(), self._retry_soon, state.account
        )

    def _retry_soon(self, account: str) -> None:
        task = asyncio.get_running_loop().create_task(self._retry(account))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retry(self, account: str) -> None:
        try:
            await self._agent.register(account)
        except AgentError as error:
            logger.debug("REGISTER at %s not sent: %s", account, error)
