"""The path grammar: where every file of a workflow lies, spelt here and nowhere else.

Paths are text, so that rules can put wildcards where values stand: ``ResultPaths("results/demo").split("{seed}")``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

Seed = int | str

ARTEFACTS = "artefacts"
"""Name of the data set of test images with artefacts drawn on them."""
MODELS = "models"
"""Name of the store, and of the folder of figures, of the models themselves."""


def results_of(experiment: str) -> str:
    """Folder of all results of an experiment."""
    return f"results/{experiment}"


def acquired_images(dataset: str) -> str:
    """Table of the acquired originals of a data set; they lie beside it."""
    return f"data/raw/{dataset}/images.csv"


def missing_images(dataset: str) -> str:
    """Table of what could not be acquired, and why."""
    return f"data/raw/{dataset}/missing.csv"


def originals(dataset: str) -> str:
    """Folder of the originals of a data set."""
    return f"data/raw/{dataset}"


def image_store(dataset: str, size: Seed) -> str:
    """Store of the decoded and resampled images of a data set."""
    return f"data/images/{dataset}-{size}px.zarr"


def rejected_images(dataset: str, size: Seed) -> str:
    """Table of the originals that could not be decoded, and why."""
    return f"data/images/{dataset}-{size}px.rejected.csv"


def perceptual_weights(network: str) -> str:
    """Downloaded weights of a network of the perceptual loss."""
    return f"data/weights/{network}.pth"


def weights_file(pattern: str, configuration: str, seed: Seed) -> str:
    """File of a network trained elsewhere, by the pattern that the configuration names (``model.weights``).

    :param pattern: with ``{configuration}`` and ``{seed}``.
    :param configuration: name of the configuration.
    :param seed: the seed.
    """
    return pattern.replace("{configuration}", configuration).replace("{seed}", str(seed))


@dataclass(frozen=True)
class ResultPaths:
    """Files below the folder of one experiment, or of one variant in its sensitivity analysis."""

    folder: str | os.PathLike[str]

    def _of(self, *parts: object) -> str:
        return "/".join([os.fspath(self.folder), *map(str, parts)])

    def split(self, seed: Seed) -> str:
        """Who is tested and who is trained on."""
        return self._of("splits", f"seed-{seed}.csv")

    def split_sizes(self) -> str:
        """Table of how many images every role of every split has."""
        return self._of("tables", "split_sizes.csv")

    def model(self, configuration: str, seed: Seed) -> str:
        """Folder of a trained network."""
        return self._of("models", configuration, f"seed-{seed}")

    def weights(self, configuration: str, seed: Seed) -> str:
        """Weights of a trained network."""
        return f"{self.model(configuration, seed)}/weights.safetensors"

    def history(self, configuration: str, seed: Seed) -> str:
        """Every term of the training loss by epoch."""
        return f"{self.model(configuration, seed)}/history.csv"

    def model_configuration(self, configuration: str, seed: Seed) -> str:
        """What a network was trained with."""
        return f"{self.model(configuration, seed)}/configuration.yaml"

    def samples(self, configuration: str, seed: Seed) -> str:
        """Images drawn from the prior, and snapshots of training."""
        return f"{self.model(configuration, seed)}/samples.zarr"

    def eigenbasis(self, configuration: str, seed: Seed) -> str:
        """Leading eigenvectors of a network's GGN matrix."""
        return self._of("eigenbases", configuration, f"seed-{seed}.zarr")

    def eigenbasis_summary(self, configuration: str, seed: Seed) -> str:
        """Eigenvalues and residuals, which stay when the eigenvectors go."""
        return self._of("eigenbases", configuration, f"seed-{seed}.json")

    def artefacts(self, seed: Seed) -> str:
        """Test images of a seed with artefacts drawn on them."""
        return self._of(ARTEFACTS, f"seed-{seed}.zarr")

    def scores(self, configuration: str, seed: Seed, dataset: str) -> str:
        """Scores and maps of the images of a data set by one network."""
        return self._of("scores", configuration, f"seed-{seed}", f"{dataset}.zarr")

    def score_part(self, configuration: str, seed: Seed, dataset: str, part: Seed, parts: Seed) -> str:
        """Blocks of scores that one job of several has made; gone once they are gathered."""
        return self._of("scores", configuration, f"seed-{seed}", f"{dataset}.part-{part}-of-{parts}")

    def rivals(self, configuration: str, seed: Seed) -> str:
        """Cheaper scores of a seed's test images by one model."""
        return self._of("rivals", configuration, f"seed-{seed}.csv")

    def aggregated(self, dataset: str) -> str:
        """All scores of a data set (or of ``ARTEFACTS``), or all models (``MODELS``), along configuration and seed."""
        return self._of(f"{dataset}.zarr")

    def figures(self, name: str) -> str:
        """Folder of the figures of a data set, or of the models."""
        return self._of("figures", name)

    def table(self, dataset: str, name: str) -> str:
        """A table of numbers by group, configuration and seed."""
        return self._of("tables", dataset, f"{name}.csv")

    def claims(self) -> str:
        """The table of judged claims."""
        return self._of("claims.csv")

    def registration(self) -> str:
        """What was planned and by which rules it would be judged, written before the run."""
        return self._of("registration.json")

    def power(self) -> str:
        """How likely each claim is to be decided, by seeds and images."""
        return self._of("tables", "power.csv")

    def report(self) -> str:
        """The page that people read first."""
        return self._of("index.html")

    def explore(self) -> str:
        """The page of every scored image."""
        return self._of("explore.html")

    def explore_files(self) -> str:
        """Folder of what that page shows, its data and pictures."""
        return self._of("explore")

    def parquet(self, dataset: str) -> str:
        """Table of a data set, one row per image, with pictures."""
        return self._of(f"{dataset}.parquet")

    def findings(self) -> str:
        """What the run found, as one page without photographs."""
        return self._of("findings", "findings.md")

    def model_card(self, configuration: str) -> str:
        """What a reader must know of the models of a configuration."""
        return self._of("model_cards", f"{configuration}.md")

    def datasheet(self, dataset: str) -> str:
        """What a reader must know of a data set."""
        return self._of("datasheets", f"{dataset}.html")

    def varied_scores(self, configuration: str, seed: Seed) -> str:
        """Scores of a network under other settings of the scoring."""
        return self._of("sensitivity", "scores", configuration, f"seed-{seed}.csv")

    def sensitivity_table(self) -> str:
        """How scores change with every setting that was varied."""
        return self._of("sensitivity", "table.csv")

    def variant(self, name: str) -> ResultPaths:
        """Files of a variant, one that needs models of its own."""
        return ResultPaths(self._of("sensitivity", name))

    def flagged(self, name: str) -> str:
        """Folder of the verdicts on a folder of new photographs."""
        return self._of("flagged", name)
