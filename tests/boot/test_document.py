import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.document import Document, parse_document
from openturret.boot.errors import DocumentError

BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (k, k, *([k - 1] * 7)) for k in range(98, 110)
)


def test_flat_keys_are_read() -> None:
    document = parse_document(b"a.b: text\na.n: 7\na.l: [x, 'y']\na.q: \"quoted\"\n")
    assert document.text("a.b") == "text"
    assert document.text("a.q") == "quoted"
    assert document.number("a.n") == 7
    assert document.texts("a.l") == ("x", "y")
    assert document.texts("a.b") == ("text",)
    assert (document.text("none"), document.number("none"), document.texts("none")) == ("", 0, ())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"- a\n",
        b"text",
        b"1: a\n",
        b"a: [1\n",
        b"a: !!python/object/apply:os.system [id]\n",
        b"a: !other x\n",
        b"a: &x 1\nb: *x\n",
        b"a: [[[[[[1]]]]]]\n",
        b"a: 1\n---\nb: 2\n",
        b"\xff\xfe\xff",
        b"a: " + b"x" * 300_000,
        b"[" * 100_000,
        BOMB,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_hostile_or_no_mapping_is_refused_quickly(data: bytes) -> None:
    begun = time.perf_counter()
    with pytest.raises(DocumentError):
        parse_document(data)
    assert time.perf_counter() - begun < 5, "bounded, however slow the machine"


@given(st.binary(max_size=400))
def test_any_bytes_are_a_document_or_a_typed_error(data: bytes) -> None:
    try:
        parse_document(data)
    except DocumentError:
        return


@pytest.mark.parametrize("value", [1, True, None, [1], ["a", 2], {}])
def test_a_value_of_another_type_is_refused(value: object) -> None:
    document = Document({"key": value})
    with pytest.raises(DocumentError, match="key"):
        document.text("key")
    with pytest.raises(DocumentError, match="key"):
        document.texts("key")
    if value != 1 or value is True:
        with pytest.raises(DocumentError, match="key"):
            document.number("key")
