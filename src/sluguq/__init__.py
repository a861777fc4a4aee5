"""For whom does a generative model of skin images fail, and does it know?

The calls for a model of one's own and what they return, and ``open`` for the results of an experiment, are to be had
from here; they are imported on first use, so that ``import sluguq`` itself costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluguq.analysis.results import Results
    from sluguq.analysis.results import open_results as open
    from sluguq.slug.accuracy import Settled
    from sluguq.slug.budget import Budget
    from sluguq.slug.eigenbasis import Eigenbasis, Lanczos, eigenbasis
    from sluguq.slug.exact import score_exact
    from sluguq.slug.execution import Execution
    from sluguq.slug.lanczos_state import Checkpoint, LanczosState
    from sluguq.slug.masks import masked
    from sluguq.slug.posterior import best_prior_precision, posterior
    from sluguq.slug.probing import Probing
    from sluguq.slug.restriction import restrict, restrict_to_share
    from sluguq.slug.saved import load_basis
    from sluguq.slug.score import score, settle
    from sluguq.slug.scorer import Scorer
    from sluguq.slug.scores import Scores
    from sluguq.slug.sketched import SketchedBasis, score_sketched, sketched_eigenbasis
    from sluguq.slug.torch_bridge import from_torch

if os.environ.get("SLUGUQ_EXTENSIONS"):
    # Before any list of the library is read, so that jobs know what a user's files add.
    import_module("sluguq.machine.extensions").load_announced()

__version__ = "0.1.0"

_HOMES = {
    "open": "sluguq.analysis.results",
    "Results": "sluguq.analysis.results",
    "eigenbasis": "sluguq.slug.eigenbasis",
    "Eigenbasis": "sluguq.slug.eigenbasis",
    "Lanczos": "sluguq.slug.eigenbasis",
    "Checkpoint": "sluguq.slug.lanczos_state",
    "Budget": "sluguq.slug.budget",
    "Execution": "sluguq.slug.execution",
    "LanczosState": "sluguq.slug.lanczos_state",
    "score": "sluguq.slug.score",
    "Probing": "sluguq.slug.probing",
    "Settled": "sluguq.slug.accuracy",
    "settle": "sluguq.slug.score",
    "Scores": "sluguq.slug.scores",
    "Scorer": "sluguq.slug.scorer",
    "score_exact": "sluguq.slug.exact",
    "sketched_eigenbasis": "sluguq.slug.sketched",
    "score_sketched": "sluguq.slug.sketched",
    "SketchedBasis": "sluguq.slug.sketched",
    "from_torch": "sluguq.slug.torch_bridge",
    "restrict": "sluguq.slug.restriction",
    "restrict_to_share": "sluguq.slug.restriction",
    "load_basis": "sluguq.slug.saved",
    "masked": "sluguq.slug.masks",
    "posterior": "sluguq.slug.posterior",
    "best_prior_precision": "sluguq.slug.posterior",
}

__all__ = [
    "Budget",
    "Checkpoint",
    "Eigenbasis",
    "Execution",
    "Lanczos",
    "LanczosState",
    "Probing",
    "Results",
    "Scorer",
    "Scores",
    "Settled",
    "SketchedBasis",
    "best_prior_precision",
    "eigenbasis",
    "from_torch",
    "load_basis",
    "masked",
    "open",
    "posterior",
    "restrict",
    "restrict_to_share",
    "score",
    "score_exact",
    "score_sketched",
    "settle",
    "sketched_eigenbasis",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sluguq' has no attribute {name!r}")
    # `open` is too good a name for a module that also opens files.
    value = getattr(import_module(_HOMES[name]), "open_results" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*(name for name in globals() if name.startswith("__")), *_HOMES])
