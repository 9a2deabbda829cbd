import pytest

from openturret.firmware.calls.registration import Registration
from openturret.firmware.shift import registered


def registration(status: int) -> Registration:
    return Registration("pbx", "10.11.0.20:5060", registered=status == 200, status=status)


@pytest.mark.parametrize(
    ("statuses", "report"),
    [
        ([200, 200], ("done", "2 of 2 PBXs")),
        ([0, 0], ("running", "0 of 2 PBXs")),
        ([200, 0], ("running", "1 of 2 PBXs")),
        ([200, 503], ("done", "1 of 2 PBXs")),
        ([503, 401], ("failed", "0 of 2 PBXs")),
        ([], ("done", "0 of 0 PBXs")),
    ],
)
def test_the_register_stage_says_how_many_pbxs_have_us(
    statuses: list[int], report: tuple[str, str]
) -> None:
    assert registered(tuple(map(registration, statuses))) == report
