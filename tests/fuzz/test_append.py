"""A second of the append fuzzer."""

import pytest

from tests.fuzz.append import fuzz


@pytest.mark.slow
def test_mutations() -> None:
    assert fuzz(1, seed=20_241_129) > 500
