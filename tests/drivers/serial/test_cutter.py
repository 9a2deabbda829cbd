from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.serial.cutter import LineCutter

LINES = st.lists(st.binary(min_size=1, max_size=12).filter(lambda line: b"\n" not in line))


def chunks(data: bytes, sizes: list[int]) -> list[bytes]:
    found = []
    for size in sizes:
        found.append(data[:size])
        data = data[size:]
    return [*found, data]


@given(LINES, st.lists(st.integers(1, 9)))
def test_lines_are_the_same_however_the_wire_cuts_them(
    lines: list[bytes], sizes: list[int]
) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cutter = LineCutter(8)
    found = [line for chunk in chunks(stream, sizes) for line in cutter.feed(chunk)]
    whole = [line.removesuffix(b"\r") for line in lines]
    assert found == [line for line in whole if 0 < len(line) <= 8]
    assert cutter.dropped == sum(len(line) > 8 for line in whole)


def test_an_endless_line_is_counted_once_and_never_kept() -> None:
    cutter = LineCutter(8)
    for _ in range(1000):
        assert cutter.feed(b"x" * 100) == []
    assert cutter.dropped == 1
    assert cutter.feed(b"\nheard\n") == [b"heard"]


def test_a_line_of_the_longest_kind_may_end_in_two_pieces() -> None:
    cutter = LineCutter(8)
    assert cutter.feed(b"12345678\r") == []
    assert cutter.feed(b"\n") == [b"12345678"]
