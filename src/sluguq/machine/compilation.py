"""Compiled code kept on disk, so that the second job of a kind does not compile again."""

from pathlib import Path

import jax


def enable_compilation_cache(folder: str | Path) -> Path:
    """Let JAX keep compiled programs in ``folder`` and find them there again.

    Call it before the first ``jit`` of a process. Programs are found by their text, the options and the
    device kind, so one folder serves all configurations and seeds of an experiment, several jobs at a time,
    and several experiments. Every program is kept, however quickly it compiled: a job of this workflow runs
    some dozens of small ones, and together they cost more than they take on disk.

    :param folder: where programs are kept; made if it is not there.
    :returns: the folder, as an absolute path.
    """
    path = Path(folder).expanduser().resolve()
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return path
