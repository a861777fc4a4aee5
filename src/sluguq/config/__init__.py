"""Configuration: models, loading with readable errors, generated reference and schema."""

from sluguq.config.experiment import Experiment
from sluguq.config.loading import ConfigurationError, load_experiment, resolve, resolved_yaml

__all__ = ["ConfigurationError", "Experiment", "load_experiment", "resolve", "resolved_yaml"]
