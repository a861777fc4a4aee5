"""Fixtures that several test files share."""

import os
import sys
from collections.abc import Iterator

import pytest
from xdist.scheduler import LoadScopeScheduling


class ByFile(LoadScopeScheduling):
    """Files are shared out between processes, but all that run Snakemake go to one.

    They share one finished experiment, and Snakemake takes the other core as it is.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "snakemake" if file.startswith(("tests/workflow/", "tests/slurm/")) else file


def pytest_xdist_make_scheduler(config, log) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(scope="module")
def quick_compilation(tmp_path_factory) -> Iterator[None]:
    """For networks that take longer to compile than to run: leave out XLA's costly passes, compile nothing twice."""
    # Imported here: most tests need no JAX, which takes a second to load.
    import jax

    from sluguq.machine.compilation import enable_compilation_cache

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_disable_most_optimizations", True)
    enable_compilation_cache(tmp_path_factory.mktemp("compiled"))
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(autouse=True, scope="module")
def compiled_code_is_let_go() -> Iterator[None]:
    """What one file's tests compiled is of no use to the next one's; all together it is gigabytes."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Jobs set variables of their process; what one test sets must not reach the next, or a process that it starts."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
