"""What the bench's TSS says to a unit and to a person, made from the plan."""

from __future__ import annotations

from . import plan
from .directory.slapd import PEOPLE as PEOPLE_DN
from .plan import Person


def unit_configuration(*, version: int = 1) -> dict[str, object]:
    """The configuration of a TouchPro on the bench.

    Args:
        version: ``application.config.version``; must rise with every change.
    """
    first, last = plan.RTP_PORTS
    recorders = [
        f"sip:recorder@{host.address}:{plan.SIP_PORT};transport=tcp" for host in plan.RECORDERS
    ]
    return {
        "application.config.version": version,
        "application.unit.model": "TouchPro",
        "application.sip.pbx.servers": [f"{host.address}:{plan.SIP_PORT}" for host in plan.PBX],
        "application.sip.connection.port": plan.SIP_PORT,
        "application.mm.rtplowerport": first,
        "application.mm.rtpupperport": last,
        "application.recording.recorder.a": recorders[0],
        "application.recording.recorder.b": recorders[1],
        "application.recording.policy": "warn",
        "application.directory.servers": [
            f"ldaps://{plan.BALANCER.domain_names[0]}:{plan.LDAPS_PORT}"
        ],
        "application.directory.user.dn": f"uid={{user}},{PEOPLE_DN}",
        "application.syslog.server": f"{plan.TSS[0].address}:{plan.SYSLOG_PORT}",
        "application.oldcb.address": "127.0.0.1",
    }


def profile(person: Person) -> dict[str, object]:
    """The profile of a person: their number, three hoots, the parties as speed dials."""
    settings: dict[str, object] = {
        "profile.user.name": person.name,
        "profile.sip.username": person.number,
        "profile.sip.password": person.sip_password,
        "profile.sip.domain": plan.DOMAIN,
    }
    for number, hoot in enumerate(plan.HOOTS, start=1):
        settings[f"profile.speaker.{number}.label"] = hoot.replace("-", " ").capitalize()
        settings[f"profile.speaker.{number}.uri"] = f"sip:{hoot}@{plan.TPO.address}:{plan.SIP_PORT}"
    for number, party in enumerate(plan.PARTIES, start=1):
        settings[f"profile.speeddial.{number}.label"] = f"Desk {party.number}"
        settings[f"profile.speeddial.{number}.number"] = party.number
    return settings
