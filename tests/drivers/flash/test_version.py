import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import FirmwareFileError
from openturret.drivers.flash.version import Version

versions = st.builds(
    Version,
    st.integers(0, 0xFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
)


@given(versions)
def test_what_is_written_is_read_again(version: Version) -> None:
    assert Version.parse(str(version)) == version


@given(st.text(max_size=30))
def test_any_text_is_a_version_or_refused(text: str) -> None:
    try:
        version = Version.parse(text)
    except FirmwareFileError:
        return
    assert version <= Version(0xFF, 0xFF, 0xFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4.5", "256.0.0", "0.256.0", "0.0.65536", "1.2.3+4294967296",
             "-1.0.0", "1.2.3 ", "\u0661.2.3", "v1.2.3"],
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(FirmwareFileError, match="not major"):
        Version.parse(text)


@given(st.integers(0, 99), st.integers(0, 9), st.integers(0, 9))
def test_a_version_that_fits_survives_bcd(major: int, minor: int, revision: int) -> None:
    version = Version(major, minor, revision)
    assert Version.from_bcd(version.bcd()) == version


@pytest.mark.parametrize("version", [Version(100), Version(1, 10), Version(1, 0, 10)])
def test_a_version_that_does_not_fit_bcd_is_refused(version: Version) -> None:
    with pytest.raises(FirmwareFileError, match=r"99\.9\.9"):
        version.bcd()


def test_versions_compare_by_number_not_by_letter() -> None:
    assert Version.parse("1.9.0") < Version.parse("1.10.0") < Version.parse("1.10.0+1")
