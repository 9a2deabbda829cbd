"""The page of the panel: whole, usable without a mouse, and within its own content policy."""

import re
from html.parser import HTMLParser

import pytest

from openturret.firmware.panel import page

HTML = page.files()["index.html"].body.decode()
SCRIPT = page.files()["panel.js"].body.decode()


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(HTML)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


ELEMENTS = Elements()
IDS = [attributes["id"] for _, attributes in ELEMENTS.found if "id" in attributes]


def test_an_id_is_used_once() -> None:
    assert len(IDS) == len(set(IDS))


def test_everything_that_the_script_looks_up_is_on_the_page() -> None:
    wanted = set(re.findall(r'\bat\("([a-z-]+)"\)', SCRIPT))
    assert wanted
    assert wanted <= set(IDS)


def test_every_class_that_the_script_looks_up_is_on_the_page_or_made_by_it() -> None:
    wanted = set(re.findall(r'part\(\w+, "\.([a-z]+)"\)', SCRIPT))
    there = {
        name for _, attributes in ELEMENTS.found for name in (attributes.get("class") or "").split()
    }
    made = set(re.findall(r'class: "([a-z ]+)"', SCRIPT))
    assert wanted
    assert wanted <= there | made


def test_nothing_is_inline_so_that_the_content_policy_holds() -> None:
    for tag, attributes in ELEMENTS.found:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "style"
    assert all("src" in attributes for attributes in ELEMENTS.of("script"))
    assert ".innerHTML" not in SCRIPT
    assert "eval(" not in SCRIPT


def test_every_field_has_a_label() -> None:
    labelled = {attributes.get("for") for attributes in ELEMENTS.of("label")}
    fields = [attributes for attributes in ELEMENTS.of("input") if "id" in attributes]
    assert {attributes["id"] for attributes in fields} == labelled - {None}


def test_every_button_says_what_it_is_for_a_form() -> None:
    buttons = ELEMENTS.of("button")
    assert buttons
    assert all(attributes.get("type") in {"button", "submit"} for attributes in buttons)


@pytest.mark.parametrize("attribute", ["aria-labelledby", "for"])
def test_what_names_another_element_names_one_that_exists(attribute: str) -> None:
    made_by_script = {"left-title", "right-title"}
    named = {attributes[attribute] for _, attributes in ELEMENTS.found if attribute in attributes}
    assert named
    assert named <= set(IDS) | made_by_script


def test_a_reader_is_told_of_alarms_and_states() -> None:
    live = {
        attributes.get("aria-live") or attributes.get("role") for _, attributes in ELEMENTS.found
    }
    assert {"assertive", "status", "alert"} <= live


def test_every_file_has_a_type_and_a_tag_of_its_own() -> None:
    files = page.files()
    assert {"index.html", "panel.css", "panel.js", "icon.svg"} <= set(files)
    assert len({content.etag for content in files.values()}) == len(files)
    assert all(content.type and content.body for content in files.values())
