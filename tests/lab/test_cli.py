import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openturret.lab.cli import COMMANDS, EXIT_NOT_INSTALLED, EXIT_USAGE

pytestmark = pytest.mark.slow


def turret(*arguments: str, prelude: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import sys\n{prelude}\nfrom openturret.lab.cli import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_without_a_command_the_help_is_shown_and_the_exit_code_says_usage() -> None:
    done = turret()
    assert done.returncode == EXIT_USAGE
    assert "examples:" in done.stderr


def test_the_help_names_every_command_with_an_example() -> None:
    shown = turret("--help").stdout
    for command in COMMANDS.values():
        assert command.summary in shown
        assert command.example in shown


def test_an_unknown_command_is_refused_with_the_ones_that_exist() -> None:
    done = turret("reboot")
    assert done.returncode == EXIT_USAGE
    assert "config" in done.stderr


def test_machines_can_list_the_commands() -> None:
    listed = json.loads(turret("--json").stdout)
    assert {item["name"] for item in listed} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_in_its_help(name: str) -> None:
    done = turret(name, "--help")
    if done.returncode == EXIT_NOT_INSTALLED:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert len(done.stdout.splitlines()) > 5


def test_a_missing_extra_is_named_instead_of_a_traceback() -> None:
    done = turret("run", "--state", "nowhere", prelude="sys.modules['aiohttp'] = None")
    assert done.returncode == EXIT_NOT_INSTALLED
    assert "pip install 'openturret[unit]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["pjsua2", "sqlalchemy"])
def test_the_demonstration_asks_for_what_the_unit_needs_before_it_begins(module: str) -> None:
    done = turret("demo", "--help", prelude=f"sys.modules[{module!r}] = None")
    assert done.returncode == EXIT_NOT_INSTALLED
    assert f"{module} is not installed; pip install 'openturret[dev]' brings it" in done.stderr


def test_ports_and_config_import_nothing_heavy() -> None:
    prelude = "\n".join(
        f"sys.modules[{name!r}] = None" for name in ("aiohttp", "cffi", "numpy", "ssl")
    )
    assert turret("ports", prelude=prelude).returncode == 0
    assert turret("config", "list", prelude=prelude).returncode == 0


def test_ports_of_a_configuration_are_printed_for_people_and_machines(tmp_path: Path) -> None:
    unit = tmp_path / "unit.yaml"
    unit.write_text("application.sip.connection.port: 5080\n")
    assert "5080" in turret("ports", "--unit", str(unit)).stdout
    rows = json.loads(turret("ports", "--unit", str(unit), "--json").stdout)
    sip = next(row for row in rows if row["name"] == "sip")
    assert (sip["first"], sip["open"]) == (5080, True)
    assert "application.sip.connection.port" in sip["keys"]


def test_config_reads_the_state_folder_of_a_unit(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "profile").mkdir()
    (tmp_path / "config" / "unit.yaml").write_text("profile.sip.domain: a.example\n")
    (tmp_path / "profile" / "current.yaml").write_text("profile.sip.domain: b.example\n")
    done = turret("config", "get", "profile.sip.domain", "--state", str(tmp_path))
    assert done.stdout == "b.example\n"
    explained = turret(
        "config", "explain", "profile.sip.domain", "--state", str(tmp_path), "--json"
    )
    assert [item["origin"] for item in json.loads(explained.stdout)["settings"]] == [
        "default",
        "unit",
        "profile",
    ]


def test_config_never_prints_a_secret(tmp_path: Path) -> None:
    profile = tmp_path / "alice.yaml"
    profile.write_text("profile.sip.password: canary\n")
    for command in ("get", "explain"):
        for json_flag in ([], ["--json"]):
            done = turret(
                "config",
                command,
                "profile.sip.password",
                "--profile",
                str(profile),
                *json_flag,
            )
            assert "(hidden)" in done.stdout
            assert "canary" not in done.stdout


def test_a_wrong_file_fails_with_a_line_for_each_problem(tmp_path: Path) -> None:
    unit = tmp_path / "unit.yaml"
    unit.write_text("application.sip.connection.port: x\nnobody.knows: 1\n")
    done = turret("config", "validate", str(unit))
    assert done.returncode == 1
    assert f"error: {unit} line 1: application.sip.connection.port" in done.stdout
    assert "refused" in done.stdout
    assert json.loads(turret("config", "validate", str(unit), "--json").stdout)["valid"] is False


def test_a_valid_file_passes_and_its_unknown_keys_are_warned_about(tmp_path: Path) -> None:
    unit = tmp_path / "unit.yaml"
    unit.write_text("nobody.knows: 1\n")
    done = turret("config", "validate", str(unit))
    assert done.returncode == 0
    assert "warning:" in done.stdout


def test_an_unknown_key_is_answered_with_the_one_that_was_meant() -> None:
    done = turret("config", "get", "application.sip.conection.port")
    assert done.returncode == 1
    assert "did you mean 'application.sip.connection.port'" in done.stderr
