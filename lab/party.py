"""The other party: baresip, registered at both PBXs, answers by itself and speaks a sentence.

One process per number, because baresip has one audio source for all of its calls. What it
heard stands in a WAV file per call. Its control port (netstrings of JSON) lets a test hang
up or ask what is going on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import plan, speech
from .errors import ServiceError
from .plan import Host, Party
from .processes import Service, logged
from .tools import tool

SPEAKS_SECONDS = 900.0
"""baresip ends a call when its source ends, so the sentence is repeated for this long."""

_MODULES = ("g711", "aubridge", "aufile", "sndfile")
_APPLICATIONS = ("account", "ctrl_tcp", "menu")
_REGISTER_SECONDS = 60
_GRACE_SECONDS = 0.5
"""baresip hangs up and closes its files at once, then waits for nothing for two seconds."""


@dataclass(frozen=True, slots=True)
class PartyFiles:
    """What a party keeps in its folder."""

    folder: Path

    @property
    def spoken(self) -> Path:
        """What it says, repeated."""
        return self.folder / "spoken.wav"

    @property
    def heard_folder(self) -> Path:
        """One file per call and direction: ``dump-…-dec.wav`` is what it heard."""
        return self.folder / "heard"

    def heard(self) -> list[Path]:
        """What it heard, one WAV per ended call, oldest first.

        A call that still goes on is not among them: baresip writes the length into the
        header at its end. baresip names the files by the second, so two calls to one number
        that begin in the same second write into one file: call different numbers.
        """
        found = self.heard_folder.glob("dump-*-dec.wav")
        return sorted(filter(_is_complete, found), key=lambda path: path.stat().st_mtime)


def service(
    party: Party,
    folder: Path,
    *,
    sentence: Path,
    host: Host = plan.PARTY,
    registrars: Sequence[Host] = plan.PBX,
) -> Service:
    """One baresip.

    Args:
        party: its number, sentence and ports.
        folder: its configuration and what it heard.
        sentence: a WAV (8 kHz, mono, 16 bits) to say again and again.
        host: where it runs.
        registrars: where it registers.
    """
    files = PartyFiles(folder)
    files.heard_folder.mkdir(parents=True, exist_ok=True)
    speech.repeat(sentence, files.spoken, seconds=SPEAKS_SECONDS)
    program = tool("baresip")
    modules = program.find("usr/lib/baresip/modules")
    (folder / "config").write_text(_configuration(party, host, files, modules))
    (folder / "accounts").write_text(_accounts(party, registrars))
    (folder / "accounts").chmod(0o600)
    (folder / "contacts").touch()
    return Service(
        f"party-{party.number}",
        host.name,
        [str(program.path), "-f", str(folder), "-v"],
        ready=logged("200 OK", times=len(registrars)),
        env=program.env,
        grace_s=_GRACE_SECONDS,
    )


class PartyControl:
    """Speaks to a party's control port.

    Example::

        control = PartyControl("10.20.0.10", 4444)
        await control.command("hangup")
    """

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port

    async def command(self, name: str, parameters: str = "") -> str:
        """Run one of baresip's commands, such as ``hangup``, ``dial`` or ``reginfo``.

        Returns:
            What it printed.

        Raises:
            ServiceError: it refused the command or does not answer.
        """
        reader, writer = await asyncio.open_connection(self._address, self._port)
        try:
            async with asyncio.timeout(5):
                writer.write(_netstring({"command": name, "params": parameters, "token": "lab"}))
                return await _answer(reader)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            raise ServiceError(f"baresip did not answer {name}") from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def hang_up(self) -> None:
        """End the current call from the party's side."""
        await self.command("hangup")


def _is_complete(path: Path) -> bool:
    try:
        with wave.open(str(path), "rb") as file:
            return file.getnframes() > 0
    except (EOFError, wave.Error):
        return False


async def _answer(reader: asyncio.StreamReader) -> str:
    """The answer to our command; the events before it are passed over."""
    while True:
        length = int((await reader.readuntil(b":"))[:-1])
        message = json.loads(await reader.readexactly(length))
        await reader.readexactly(1)
        if message.get("response") and message.get("token") == "lab":
            if not message.get("ok"):
                raise ServiceError(f"baresip refused: {message.get('data')}")
            return str(message.get("data", ""))


def _netstring(message: dict[str, str]) -> bytes:
    data = json.dumps(message).encode()
    return b"%d:%b," % (len(data), data)


def _configuration(party: Party, host: Host, files: PartyFiles, modules: Path) -> str:
    first, last = party.rtp_ports
    return "\n".join(
        [
            "poll_method epoll",
            f"sip_listen {host.address}:{party.sip_port}",
            "call_local_timeout 60",
            "call_max_calls 8",
            "call_hold_other_calls no",
            f"audio_source aufile,{files.spoken}",
            "audio_player aubridge,sink",
            "audio_alert aubridge,alert",
            "ausrc_srate 8000",
            "auplay_srate 8000",
            "ausrc_channels 1",
            "auplay_channels 1",
            "audio_level no",
            f"rtp_ports {first}-{last}",
            "rtcp_mux no",
            "jitter_buffer_delay 2-6",
            "rtp_stats no",
            f"snd_path {files.heard_folder}",
            f"ctrl_tcp_listen {host.address}:{party.control_port}",
            f"module_path {modules}",
            *(f"module {name}.so" for name in _MODULES),
            *(f"module_app {name}.so" for name in _APPLICATIONS),
            "",
        ]
    )


def _accounts(party: Party, registrars: Sequence[Host]) -> str:
    return "".join(
        f"<sip:{party.number}@{plan.DOMAIN};transport=udp>;auth_user={party.number};"
        f"auth_pass={party.sip_password};answermode=auto;audio_codecs=pcmu,pcma;"
        f'outbound="sip:{host.address};transport=udp";regint={_REGISTER_SECONDS}\n'
        for host in registrars
    )
