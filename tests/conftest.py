"""What all tests share: a skip is a failure in continuous integration, and the ``bench`` fixture.

Tests that ask for ``bench`` run inside the bench's namespace, in one bench for all of them.
The test process stays outside. It starts ``inside.py`` in a namespace once per session; for
every test with a ``bench`` argument it sends the test's file, name and arguments there, and
reports what happened as the test's own result. Such a test may take ``bench``, ``tmp_path``
and parameters that JSON can carry.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from openturret.lab import namespace
from openturret.lab.errors import NamespaceError, ToolMissingError
from openturret.lab.tools import tool

# A busy machine is no fault of what is tested.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# A relative path would mean another folder to a process that is started elsewhere.
if "PYTHONPATH" in os.environ:
    paths = os.environ["PYTHONPATH"].split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in paths)

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
NEEDED = ("dnsmasq", "kamailio", "slapd", "haproxy", "baresip", "espeak-ng")


class InsideBench:
    """The far side of the namespace, which runs tests that we name."""

    def __init__(self, folder: Path) -> None:
        lifeline, self._held = os.pipe()
        self._process = namespace.spawn(
            [sys.executable, str(Path(__file__).with_name("inside.py")), str(folder)],
            lifeline,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        os.close(lifeline)

    def run(self, item: pytest.Function) -> None:
        arguments = {name: _plain(item.funcargs[name]) for name in _argument_names(item)}
        request: dict[str, object] = {
            "file": str(item.path),
            "name": item.originalname,
            "arguments": arguments,
        }
        answer = self._ask(request)
        if "skipped" in answer:
            pytest.skip(answer["skipped"])
        if "failed" in answer:
            pytest.fail(answer["failed"], pytrace=False)

    def close(self) -> None:
        os.close(self._held)
        self._process.communicate(timeout=30)

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            pytest.fail("the bench ended; see its output above", pytrace=False)
        answer: dict[str, Any] = json.loads(line)
        return answer


@pytest.fixture(scope="session")
def inside_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideBench]:
    try:
        namespace.check()
        for name in NEEDED:
            tool(name)
    except (NamespaceError, ToolMissingError) as error:
        pytest.skip(str(error))
    far_side = InsideBench(tmp_path_factory.mktemp("bench"))
    yield far_side
    far_side.close()


@pytest.fixture
def bench(inside_bench: InsideBench) -> InsideBench:
    return inside_bench


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    far_side = pyfuncitem.funcargs.get("bench")
    if not isinstance(far_side, InsideBench):
        return None
    far_side.run(pyfuncitem)
    return True


def _argument_names(item: pytest.Function) -> list[str]:
    parameters = set(item.callspec.params) if hasattr(item, "callspec") else set()
    return [name for name in ("tmp_path", *parameters) if name in item.funcargs]


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which continuous integration does not allow: {reason}"
    return report
