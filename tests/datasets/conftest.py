"""Fixtures of the data sets' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluguq.config.sources import Downloads
from tests.datasets.misbehaving import Server
from tests.places import SHARED


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}")
    return SHARED


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def manners(downloads) -> dict[str, object]:
    """The same as plain values, for a configuration."""
    return downloads.model_dump()


@pytest.fixture
def downloads() -> Downloads:
    """Manners that do not make a test wait."""
    return Downloads.model_validate(
        {"first_wait": 0.01, "timeout": 0.5, "requests_per_second": 1000, "attempts": 3, "longest_wait": 5}
    )
