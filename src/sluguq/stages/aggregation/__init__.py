"""Results of single models, gathered into stores along configuration and seed."""

from sluguq.stages.aggregation.models import aggregate_models
from sluguq.stages.aggregation.scores import aggregate_scores

__all__ = ["aggregate_models", "aggregate_scores"]
