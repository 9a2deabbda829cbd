import pytest

from openturret.boot.document import Document
from openturret.boot.fetch.preferences import BANDWIDTH_KEY, TRANSPORTS_KEY, Preferences
from openturret.boot.fetch.visit import FTPES, HTTPS
from openturret.hal.clock import SystemClock


def test_without_a_word_ftpes_then_https_and_no_limit() -> None:
    assert Preferences.of(Document({})) == Preferences((FTPES, HTTPS), 0)
    assert Preferences().bandwidth(SystemClock()) is None


def test_what_the_configuration_says_counts() -> None:
    document = Document({TRANSPORTS_KEY: ["https"], BANDWIDTH_KEY: 2000})
    preferences = Preferences.of(document)
    assert preferences == Preferences((HTTPS,), 2000)
    bandwidth = preferences.bandwidth(SystemClock())
    assert bandwidth is not None
    assert bandwidth.buffer_bytes == 62_500


@pytest.mark.parametrize(
    "values",
    [
        {TRANSPORTS_KEY: []},
        {TRANSPORTS_KEY: ["tftp"]},
        {TRANSPORTS_KEY: {"a": 1}},
        {BANDWIDTH_KEY: "fast"},
        {BANDWIDTH_KEY: 1},
        {BANDWIDTH_KEY: -5},
        {BANDWIDTH_KEY: 10**9},
    ],
)
def test_nonsense_never_keeps_a_unit_from_fetching(values: dict[str, object]) -> None:
    assert Preferences.of(Document(values)) == Preferences()


def test_what_is_known_is_used_once() -> None:
    document = Document({TRANSPORTS_KEY: ["https", "gopher", "ftpes", "https"]})
    assert Preferences.of(document).order == (HTTPS, FTPES)
