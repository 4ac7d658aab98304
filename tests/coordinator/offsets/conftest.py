"""A shard over a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.offsets.driver import OffsetsDriver


@pytest.fixture
def make_driver(tmp_path: Path) -> Iterator[Callable[..., OffsetsDriver]]:
    made: list[OffsetsDriver] = []

    def make(**settings: Any) -> OffsetsDriver:
        driver = OffsetsDriver(tmp_path / str(len(made)), **settings)
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.log.close()


@pytest.fixture
def driver(make_driver: Callable[..., OffsetsDriver]) -> OffsetsDriver:
    return make_driver()
