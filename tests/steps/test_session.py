"""What the steps share."""

import pytest

from ratchet.steps.session import same


@pytest.mark.parametrize(
    "other", ["http://SRV:5000/", "http://ada:pw@srv:5000", "http://srv:5000"], ids=["slash", "account", "itself"]
)
def test_one_server_is_one_however_it_is_written(other: str) -> None:
    assert same(other) == same("http://srv:5000")
    assert same(other) != same("http://srv:5001")
