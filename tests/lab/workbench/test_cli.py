from __future__ import annotations

import pytest

from openturret.lab.workbench.cli import main


def test_options_are_printed_for_every_dhcp_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options", "--address", "192.0.2.10"]) == 0
    told = capsys.readouterr().out
    assert told.count("OpenTurret") >= 3
    assert [line for line in told.splitlines() if line.startswith("# ")] == [
        "# dnsmasq", "# kea", "# isc",
    ]  # fmt: skip


def test_one_server_is_printed_without_a_headline(capsys: pytest.CaptureFixture[str]) -> None:
    main(["options", "--address", "192.0.2.10", "--server", "isc"])
    assert not capsys.readouterr().out.startswith("#")


def test_an_interface_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--interface", "no-such-one"]) == 1
    assert "turret tss: there is no interface 'no-such-one'" in capsys.readouterr().err
