"""YAML from outside: configuration, profile, hint, manifest, static address; or a DocumentError."""

from functools import partial

from openturret.boot.document import parse_document
from openturret.boot.errors import DocumentError, SlotError
from openturret.boot.fetch.tss import parse_hint
from openturret.boot.lan.static import parse_static
from openturret.boot.slots.manager import Manifest

from ..data import tolerate

ERRORS = (DocumentError,)


def seeds() -> list[bytes]:
    return [
        b"application.config.version: 7\napplication.directory.servers: [ldaps://ldap.example]\n",
        b"tss.servers: [tss1.turret.example, tss2.turret.example]\n",
        b"version: 1.2.3\nfile: openturret-1.2.3.whl\nsha256: " + b"ab" * 32 + b"\n",
        b"network.address: 10.1.0.7/24\nnetwork.router: 10.1.0.1\nnetwork.dns: [10.1.0.2]\n",
        b"a: &x [1, 2]\nb: *x\n",
        b"a: !!python/object:os.system {}\n",
        b"b: 0x7f\nc: 1e400\ne: 190:20:30\n",
        b"d: 2001-12-31\n",
        b"? [a, b]\n: {c: {d: {e: f}}}\n",
        b"%YAML 1.1\n---\na: |\n  text\n  more\n...\n",
    ]


def run(data: bytes) -> None:
    tolerate(ERRORS, lambda: parse_hint(data), lambda: parse_static(data, 0.0))
    tolerate((*ERRORS, SlotError), lambda: Manifest.parse(data))
    document = parse_document(data)
    for key in document.values:
        tolerate(
            ERRORS,
            partial(document.text, key),
            partial(document.number, key),
            partial(document.texts, key),
        )
