"""The files of the panel's page, read once, with what HTTP must know about them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as resources
from types import MappingProxyType
from typing import Final

_TYPES: Final = MappingProxyType(
    {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".webmanifest": "application/manifest+json",
    }
)


@dataclass(frozen=True, slots=True)
class Content:
    """One file: its bytes, its media type and its entity tag."""

    body: bytes
    type: str
    etag: str


@functools.cache
def files() -> Mapping[str, Content]:
    """Every file of the page by name, ``index.html`` among them."""
    folder = resources(__package__) / "static"
    found = ((item.name, item.read_bytes()) for item in folder.iterdir() if _type(item.name))
    return MappingProxyType({name: _content(name, body) for name, body in found})


def _type(name: str) -> str | None:
    return next((kind for suffix, kind in _TYPES.items() if name.endswith(suffix)), None)


def _content(name: str, body: bytes) -> Content:
    return Content(body, _type(name) or "", f'"{hashlib.sha256(body).hexdigest()[:16]}"')
