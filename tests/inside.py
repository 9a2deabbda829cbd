"""The far side of ``conftest.py``: one bench, and the tests that are asked for, one by one."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openturret.lab.bench import Bench

TEST_SECONDS = 60.0


def load(file: str, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


async def run(bench: Bench, request: dict[str, Any]) -> dict[str, str]:
    arguments = request["arguments"]
    if "tmp_path" in arguments:
        arguments["tmp_path"] = Path(arguments["tmp_path"])
    try:
        function = load(request["file"], request["name"])
        outcome = function(bench=bench, **arguments)
        if inspect.isawaitable(outcome):
            await asyncio.wait_for(outcome, TEST_SECONDS)
    except pytest.skip.Exception as reason:
        return {"skipped": str(reason)}
    except (Exception, pytest.fail.Exception):
        return {"failed": traceback.format_exc()}
    return {}


async def main(folder: Path, answers: int) -> None:
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with Bench(folder) as bench:
        while line := await reader.readline():
            answer = await run(bench, json.loads(line))
            os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    # Standard output is the channel of answers; what a test prints goes to standard error.
    channel = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(main(Path(sys.argv[1]), channel))
