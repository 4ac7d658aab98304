"""The committed corpus, and two seconds of seeded mutations, through the batch fuzzer's target."""

from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.batch import CORPUS, cases, fuzz, fuzz_batch, seeds


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")), ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    fuzz_batch(path.read_bytes())


def test_seeds_are_accepted_so_that_mutations_start_from_something() -> None:
    assert sum(fuzz_batch(seed) for seed in seeds()) > 20


def test_the_same_seed_makes_the_same_cases() -> None:
    assert list(islice(cases(5), 50)) == list(islice(cases(5), 50))


@pytest.mark.slow
def test_mutations() -> None:
    assert fuzz(2, seed=20_240_601) > 500
