"""G.711 against the tables of the recommendation, and against the ITU's own vectors."""

import os
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

DATA = Path(os.environ.get("OPENTURRET_DATA", Path(__file__).parents[3] / "shared" / "data"))
ITU = DATA / "itu" / "g711"
EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
EVERY_CODE = bytes(range(256))

Pcm = npt.NDArray[np.int16]


def run_encode(law: str, pcm: Pcm) -> bytes:
    code = ffi.new("uint8_t[]", len(pcm))
    {"u": lib.ot_ulaw_encode, "a": lib.ot_alaw_encode}[law](
        code, ffi.from_buffer("int16_t[]", pcm.data), len(pcm)
    )
    return bytes(ffi.buffer(code))


def run_decode(law: str, code: bytes) -> Pcm:
    pcm = np.zeros(len(code), np.int16)
    {"u": lib.ot_ulaw_decode, "a": lib.ot_alaw_decode}[law](
        ffi.from_buffer("int16_t[]", pcm.data), code, len(code)
    )
    return pcm


# Tables 1a to 2b of G.711: the least magnitude (14 and 13 bits) of each of the 128 intervals.
ULAW_STEPS = [
    max(0, ((16 + step) << (segment + 1)) - 33) for segment in range(8) for step in range(16)
]
ALAW_STEPS = [
    (step if segment == 0 else (16 + step) << (segment - 1))
    for segment in range(8)
    for step in range(16)
]


def reference_ulaw(sample: int) -> int:
    magnitude = min((~sample if sample < 0 else sample) >> 2, 8158)
    interval = bisect_left(ULAW_STEPS, magnitude + 1) - 1
    return ~(interval | (0x80 if sample < 0 else 0)) & 0xFF


def reference_alaw(sample: int) -> int:
    magnitude = (~sample if sample < 0 else sample) >> 4
    interval = bisect_left(ALAW_STEPS, magnitude + 1) - 1
    return (interval | (0 if sample < 0 else 0x80)) ^ 0x55


def reference_ulaw_value(code: int) -> int:
    segment, step = divmod(~code & 0x7F, 16)
    value = ((2 * step + 33 << segment) - 33) * 4
    return value if code & 0x80 else -value


def reference_alaw_value(code: int) -> int:
    segment, step = divmod((code ^ 0x55) & 0x7F, 16)
    value = (2 * step + 1 if segment == 0 else 2 * step + 33 << segment - 1) * 8
    return value if code & 0x80 else -value


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(("law", "reference"), [("u", reference_ulaw), ("a", reference_alaw)])
def test_every_sample_gets_the_code_of_its_interval(
    law: str, reference: Callable[[int], int]
) -> None:
    expected = bytes(reference(int(sample)) for sample in EVERY_SAMPLE)
    assert run_encode(law, EVERY_SAMPLE) == expected


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(
    ("law", "reference"), [("u", reference_ulaw_value), ("a", reference_alaw_value)]
)
def test_every_code_has_the_value_of_the_table(law: str, reference: Callable[[int], int]) -> None:
    assert run_decode(law, EVERY_CODE).tolist() == [reference(code) for code in EVERY_CODE]


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("law", ["u", "a"])
def test_a_decoded_code_encodes_to_itself(law: str) -> None:
    again = run_encode(law, run_decode(law, EVERY_CODE))
    expected = EVERY_CODE.replace(b"\x7f", b"\xff") if law == "u" else EVERY_CODE  # minus zero
    assert again == expected


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("samples", [0, 1, 7, 16, 31, 33, 80, 81, 95, 159, 240])
@pytest.mark.parametrize("law", ["u", "a"])
def test_any_number_of_samples_is_coded_alike(law: str, samples: int) -> None:
    pcm = np.ascontiguousarray(EVERY_SAMPLE[:: 65536 // 241][:samples])
    reference = reference_ulaw if law == "u" else reference_alaw
    assert run_encode(law, pcm) == bytes(reference(int(sample)) for sample in pcm)


def itu(name: str) -> Pcm:
    if not (ITU / name).exists():
        pytest.skip(f"the ITU-T G.191 vectors are not at {ITU}: put sweep-r.* and sweep.src there")
    return np.fromfile(ITU / name, dtype="<i2")


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("samples", [0, 1, 7, 16, 31, 33, 80, 81, 95, 159, 240])
@pytest.mark.parametrize("law", ["u", "a"])
def test_any_number_of_codes_is_decoded_alike(law: str, samples: int) -> None:
    code = EVERY_CODE[:samples][::-1]
    reference = reference_ulaw_value if law == "u" else reference_alaw_value
    assert run_decode(law, code).tolist() == [reference(octet) for octet in code]


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("law", ["u", "a"])
def test_the_vectors_of_the_itu_hold(law: str) -> None:
    source, coded, both = itu("sweep.src"), itu(f"sweep-r.{law}"), itu(f"sweep-r.re{law}")
    assert sorted(source.tolist()) == EVERY_SAMPLE.tolist(), "the byte order is not little endian"
    ours = run_encode(law, source)
    assert ours == coded.astype(np.uint8).tobytes()
    assert np.array_equal(run_decode(law, ours), both)
    assert np.array_equal(
        run_decode(law, coded.astype(np.uint8).tobytes()), itu(f"sweep-r.{law}-{law}")
    )
