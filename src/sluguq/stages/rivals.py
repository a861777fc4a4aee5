"""Cheaper rivals of SLUG: the same score of some of a network's weights, with what each takes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from sluguq.machine.streams import stream
from sluguq.networks.network import reconstruction_function
from sluguq.networks.weights import load_network
from sluguq.slug.accuracy import PROBE
from sluguq.slug.costs import PRODUCT
from sluguq.slug.estimators import ESTIMATORS, BasisSettings, ScoreSettings
from sluguq.slug.network import Apply, parameter_count
from sluguq.slug.restriction import restrict, restrict_to_share
from sluguq.stages.eigenbasis import basis_images
from sluguq.stages.keys import ModelId
from sluguq.stages.rival_table import COLUMNS, WHOLE
from sluguq.stages.settings import settings_from
from sluguq.stores.selection import ChosenRows, read_rows, tested_rows
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table


def score_rivals(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    model_id: ModelId,
    rivals: Mapping[str, float | str | Sequence[str]],
    basis: Mapping[str, Any],
    score: Mapping[str, Any],
) -> None:
    """Score a seed's test images by SLUG of some weights alone; a csv with the columns ``COLUMNS``.

    Every rival has an eigenbasis of its own weights, of the same rank, images and tolerance as the experiment's, and
    reaches the same accuracy. So does, for its cost alone, SLUG of all weights (``slug``, without scores).

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param weights: weights of the model.
    :param path: csv to write.
    :param model_id: which model.
    :param rivals: by name, patterns of the weights' paths or a share of all weights.
    :param basis: the section ``eigenbasis`` of the configuration.
    :param score: the section ``score``.
    :raises ValueError: where a pattern matches no weights, with the paths that there are.
    """
    store, network = open_store(images), load_network(Path(weights))
    training = basis_images(store, split, model_id, basis["max_images"])
    rows = tested_rows(images, split)
    assert rows is not None
    pixels = ChosenRows(store["pixels"], rows)
    apply, params = reconstruction_function(network, precision=score["precision"])
    one = jnp.asarray(pixels[slice(0, 1)])
    whole = _gradient_flop(apply, params, one)
    frames = []
    for name, selection in {WHOLE: "*", **rivals}.items():
        part_apply, part_params = _some(
            apply, params, selection, stream(model_id.seed, f"weights of {model_id.configuration}, {name}")
        )
        estimator = ESTIMATORS[basis["method"]]
        basis_settings = settings_from(BasisSettings, basis, rank=min(basis["rank"], parameter_count(part_params)))
        key = model_id.key(f"basis of {name}")
        eigenbasis = estimator.basis(part_apply, part_params, training, basis_settings, key=key)
        key = model_id.key(f"probes of {name}")
        settings = settings_from(ScoreSettings, score, maps=False)
        settled = estimator.settled(part_apply, part_params, eigenbasis, pixels, settings, key=key)
        share = _gradient_flop(part_apply, part_params, one) / whole
        score_cost = settled.split.cost if settled is not None else PROBE * (settings.probes or 0)
        passes = share * (score_cost + PRODUCT * int(eigenbasis.products) * len(training) / len(rows))
        print(f"{name}: {parameter_count(part_params):,} weights, {passes:.1f} forward passes an image")
        frame = pd.DataFrame({"rival": name, "id": store["id"].values[rows], "passes": passes})
        if name != WHOLE:
            scores = estimator.score(
                part_apply,
                part_params,
                eigenbasis,
                read_rows(store["pixels"], rows),
                settings,
                key=key,
                settled=settled,
                progress=False,
            )
            frame = frame.assign(slug=scores.slug, slug_sem=scores.slug_sem)
        frames.append(frame.reindex(columns=list(COLUMNS)))
    write_table(path, pd.concat(frames, ignore_index=True), sealed=False)


def _some(
    apply: Apply, params: Any, chosen: float | str | Sequence[str], rng: np.random.Generator
) -> tuple[Apply, Any]:
    """The network with the chosen weights in its parameters."""
    return (
        restrict_to_share(apply, params, chosen, rng) if isinstance(chosen, float) else restrict(apply, params, chosen)
    )


def _gradient_flop(apply: Apply, params: Any, image: jax.Array) -> float:
    """Operations of one image's gradient in these weights, the forward pass among them, as XLA counts them."""

    def gradient(params: Any, image: jax.Array) -> Any:
        output, backward = jax.vjp(lambda weights: apply(weights, image), params)
        return backward(output)

    analysis = jax.jit(gradient).lower(params, image).compile().cost_analysis()
    return float((analysis or {}).get("flops", 0.0))
