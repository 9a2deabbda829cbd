"""An account inside PJSIP: it registers, and calls come in through it."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from . import _library as pj
from .callbacks import guarded
from .events import Account, Event, RegistrationChanged

FICTITIOUS_PORT = 40_000
"""Given to the loop media transport, never bound, always rewritten."""


class AccountOwner(Protocol):
    """Who hears of an account."""

    def report(self, event: Event) -> None:
        """Passes an event on."""
        ...

    def take_in(self, account: PjAccount, prm: pj.OnIncomingCallParam) -> None:
        """Makes a call of an INVITE."""
        ...


class PjAccount(pj.Account):
    """An account inside PJSIP."""

    def __init__(self, owner: AccountOwner, settings: Account) -> None:
        super().__init__()
        self._owner = owner
        self._retired = False
        self.settings = settings

    def retire(self) -> None:
        """Unregisters now and reports nothing any more; deleted once its calls are over."""
        if self._retired:
            return
        self._retired = True
        if self.settings.registrar is None:
            return
        with suppress(pj.Error):
            self.setRegistration(False)

    @guarded
    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802
        """Reports a registrar's answer."""
        if self._retired:
            return
        expires = prm.expiration if prm.code // 100 == 2 else 0
        self._owner.report(
            RegistrationChanged(self.settings.name, prm.code, prm.reason, max(expires, 0))
        )

    @guarded
    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802
        """Takes a new call in."""
        self._owner.take_in(self, prm)


def account_settings(account: Account) -> pj.AccountConfig:
    """Returns PJSIP's settings of an account.

    The Contact always names the port that we listen on, also over TCP: after a restart the
    peer of an old dialog must still find us.
    """
    config = pj.AccountConfig()
    config.idUri = account.identity
    config.mediaConfig.useLoopMedTp = True
    config.mediaConfig.lockCodecEnabled = False
    config.mediaConfig.transportConfig.port = FICTITIOUS_PORT
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
    config.mwiConfig.enabled = False
    nat = config.natConfig
    nat.contactRewriteUse = nat.viaRewriteUse = nat.sdpNatRewriteUse = 0
    nat.contactUseSrcPort = nat.sipOutboundUse = nat.udpKaIntervalSec = 0
    if account.username:
        info = pj.AuthCredInfo("digest", "*", account.username, 0, account.password)
        config.sipConfig.authCreds.append(info)
    add_registrar(config, account)
    return config


def add_registrar(config: pj.AccountConfig, account: Account) -> None:
    """Adds the registrar; PJSIP refreshes, we retry."""
    if account.registrar is None:
        return
    config.priority = 1  # incoming calls belong to a PBX's account when one fits
    config.regConfig.registrarUri = f"{account.registrar};transport={account.transport}"
    config.regConfig.registerOnAdd = True
    config.regConfig.timeoutSec = account.expires_s
    config.regConfig.retryIntervalSec = config.regConfig.firstRetryIntervalSec = 0
