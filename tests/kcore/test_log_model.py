"""A few seeds of the random-operation model; `python -m tests.kcore.log_model` runs many."""

import pytest

from tests.kcore.log_model import run_seed


@pytest.mark.parametrize("seed", range(30))
def test_log_equals_a_list_of_batches(seed: int) -> None:
    run_seed(seed)


@pytest.mark.parametrize("seed", [6, 19, 22, 31, 59, 214, 217, 326, 788, 1151])
def test_seeds_that_found_something(seed: int) -> None:
    run_seed(seed)
