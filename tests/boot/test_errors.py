"""Every error of the boot says what to do; no site raises one that does not."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import openturret.boot
from openturret.boot import errors
from openturret.boot.docs import main
from openturret.boot.errors import BootError, TftpError, TransportError

ROOT = Path(__file__).parents[2]
CLASSES = sorted(
    (found for _, found in inspect.getmembers(errors, inspect.isclass)
     if issubclass(found, BootError)),
    key=lambda found: found.__name__,
)  # fmt: skip


def sources() -> Iterator[Path]:
    for module in pkgutil.walk_packages(openturret.boot.__path__, "openturret.boot."):
        spec = importlib.util.find_spec(module.name)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin)


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the boot that makes one of its errors."""
    names = {found.__name__ for found in CLASSES}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                yield f"{path.name}:{node.lineno}", node


@pytest.mark.parametrize("error", CLASSES, ids=lambda found: found.__name__)
def test_every_error_has_a_code_a_meaning_and_a_remedy(error: type[BootError]) -> None:
    assert error.code
    assert error.__doc__
    assert error is BootError or error.usual_remedy != BootError.usual_remedy
    assert f"── {error.__name__}" in (errors.__doc__ or "") or error is BootError
    assert error("x").remedy == error.usual_remedy
    assert error("x", "do y").remedy == "do y"


def test_every_site_that_raises_one_says_what_happened() -> None:
    sites = list(raised())
    assert len(sites) > 60
    for place, call in sites:
        assert call.args, f"{place}: no message"
        message = call.args[0]
        assert not isinstance(message, ast.Constant) or message.value, f"{place}: empty message"


def test_a_general_error_is_raised_with_a_remedy_of_its_own() -> None:
    """What the class cannot know the site must say."""
    for place, call in raised():
        if getattr(call.func, "id", "") == "BootError":
            assert len(call.args) > 1, f"{place}: no remedy"


def test_an_error_is_led_by_what_it_does_not_name_itself() -> None:
    error = TftpError("no answer", server="10.1.0.2", file="default.yaml")
    assert str(error) == "10.1.0.2: default.yaml: no answer"
    assert str(TftpError("10.1.0.2 says no", server="10.1.0.2")) == "10.1.0.2 says no"
    assert str(error.at(server="another", option="66")) == "10.1.0.2: default.yaml: 66: no answer"


def test_an_error_survives_being_raised_from_another() -> None:
    with pytest.raises(TransportError, match=r"^tss1: cut$") as caught:
        raise TransportError("cut").at(server="tss1") from OSError("x")
    assert (caught.value.code, caught.value.server) == ("transport", "tss1")


def test_the_page_of_errors_is_current() -> None:
    said: list[str] = []
    assert main([str(ROOT / "docs"), "--check"], said.append) == 0, "run: make docs"


def test_a_stale_page_is_said_and_written_anew(tmp_path: Path) -> None:
    said: list[str] = []
    assert main([str(tmp_path), "--check"], said.append) == 1
    assert main([str(tmp_path)], said.append) == 0
    assert main([str(tmp_path), "--check"], said.append) == 0
    assert "| `bad_credentials` |" in (tmp_path / "errors.md").read_text()
    assert [words.split(": ")[1] for words in said] == ["out of date\n", "written\n"]


def alarms_raised() -> Iterator[tuple[str, str]]:
    """Every alarm that the boot may raise: where, and its code, found through its constants."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources()}
    constants = {
        (path, target.id): node.value.value
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "raise_alarm":
                code = node.args[0]
                if isinstance(code, ast.Name):
                    found = constants.get((path, code.id)) or next(
                        (value for (_, name), value in constants.items() if name == code.id), ""
                    )
                    yield f"{path.name}:{node.lineno}", str(found)


def test_every_alarm_is_in_the_document() -> None:
    document = (ROOT / "docs" / "boot.md").read_text(encoding="utf-8")
    found = list(alarms_raised())
    assert len({code for _, code in found}) > 12
    for place, code in found:
        assert f"| `{code}`" in document, f"{place}: alarm {code} is not in docs/boot.md"
