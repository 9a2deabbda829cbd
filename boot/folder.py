"""The state folder of a unit: where everything that the boot keeps has its place."""

from dataclasses import dataclass
from pathlib import Path

from .supervision.supervisor import Places


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The places below one folder; every process of the unit knows them."""

    root: Path

    @property
    def lease(self) -> Path:
        """The last DHCP lease."""
        return self.root / "lease.json"

    @property
    def network(self) -> Path:
        """Where the unit is: address, router, DNS servers."""
        return self.root / "network.json"

    @property
    def static(self) -> Path:
        """An address that a person configured, in place of DHCP."""
        return self.root / "network.yaml"

    @property
    def hints(self) -> Path:
        """The names of the TSS servers that last gave something verified."""
        return self.root / "tss.json"

    @property
    def servers(self) -> Path:
        """The same servers with their addresses, and the DHCP hints that led to them."""
        return self.root / "servers.json"

    @property
    def trust(self) -> Path:
        """TUF metadata, targets and the clock's floor."""
        return self.root / "trust"

    @property
    def vouchers(self) -> Path:
        """What was signed about the configuration and the firmware that are kept."""
        return self.root / "vouchers"

    @property
    def certificate(self) -> Path:
        """The unit's own key and certificate."""
        return self.root / "enrolment" / "unit.pem"

    @property
    def configuration(self) -> Path:
        """The last good verified configuration."""
        return self.root / "config" / "unit.yaml"

    @property
    def profiles(self) -> Path:
        """Verified user profiles, sealed; ``current.yaml`` leads to the one in force, in memory."""
        return self.root / "profile"

    @property
    def logins(self) -> Path:
        """Who is logged in, wrong passwords, and what an offline login is checked against."""
        return self.root / "login"

    @property
    def key(self) -> Path:
        """The unit's own key, made here at first use."""
        return self.root / "unit.key"

    @property
    def slots(self) -> Path:
        """Firmware."""
        return self.root / "slots"

    @property
    def health(self) -> Path:
        """What the good firmware could do here."""
        return self.root / "health.json"

    @property
    def board(self) -> Path:
        """The factory's board description, for the processes of the firmware."""
        return self.root / "board.yaml"

    @property
    def status(self) -> Path:
        """Stages and alarms, for people without a socket."""
        return self.root / "status.json"

    @property
    def attempts(self) -> Path:
        """How many boots in a row have not lasted."""
        return self.root / "attempts"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.root / "run" / "boot.sock"

    @property
    def log(self) -> Path:
        """The boot's own log."""
        return self.root / "log" / "boot.log"

    @property
    def events(self) -> Path:
        """What happened, for machines: one JSON object a line."""
        return self.root / "log" / "events.jsonl"

    @property
    def places(self) -> Places:
        """Where the supervisor keeps pid files and logs."""
        return Places(self.root / "run", self.root / "log")
