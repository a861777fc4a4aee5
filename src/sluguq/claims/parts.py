"""What each claim's parts are: estimates from a `Run`, each held against its threshold.

The rules are those of `sluguq.claims.rules`; which claim asks for what is in `sluguq.claims.catalogue`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import xarray as xr

from sluguq.analysis.estimates import Estimate, over_values
from sluguq.analysis.retention import retention_step
from sluguq.analysis.statistics import (
    Array,
    cliffs_delta,
    difference,
    log_ratio,
    mean,
    pearson,
    spearman,
    spearman_difference,
)
from sluguq.claims.rules import CONVERGED, FEWEST_PATIENTS, MEDIUM_DELTA, STRONG, Part, above, below, same_sign, within
from sluguq.claims.run import NotInRun, Run

# Statistics of two configurations at once; images (images,), weights (replicates, images).


def _gap(run: Run, configuration: str, variable: str = "mse") -> Estimate:
    return run.estimate(difference, {"x": (variable, configuration)}, by_group=True)


def _change(run: Run, later: str, earlier: str, group: str) -> Estimate:
    def change(after: Array, before: Array, weights: Array) -> Array:
        return mean(after - before, weights)

    return run.estimate(change, {"after": ("mse", later), "before": ("mse", earlier)}, group=group)


def _gap_minus(run: Run, first: str, second: str, sign: int) -> Estimate:
    def combined(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
        return difference(x, group, weights) + sign * difference(y, group, weights)

    return run.estimate(combined, {"x": ("mse", first), "y": ("mse", second)}, by_group=True)


def _relative_gap_change(run: Run, variable: str, first: str, second: str) -> Estimate:
    def combined(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
        return log_ratio(x, group, weights) - log_ratio(y, group, weights)

    return run.estimate(combined, {"x": (variable, first), "y": (variable, second)}, by_group=True)


def _rank(run: Run, x: str, configuration: str, group: str | None = None) -> Estimate:
    columns = {"x": (x, configuration), "y": ("mse", configuration)}
    return run.estimate(spearman, columns, group=group, transform="fisher")


# The claims' parts.


def gap_in(which: Callable[[Run], str], claimed: Callable[..., Part] = above) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        configuration = which(run)
        return [claimed(configuration, _gap(run, configuration))]

    return parts


def no_mirror(run: Run) -> list[Part]:
    a, c = run.light_only, run.dark_only
    return [
        above(f"gap under {a} less gap under {c}", _gap_minus(run, a, c, -1)),
        above(f"gap under {a} plus gap under {c}", _gap_minus(run, a, c, 1)),
    ]


def best_under(group: Callable[[Run], str], which: Callable[[Run], str]) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        best = which(run)
        others = [name for name in (run.light_only, run.both, run.dark_only) if name != best]
        return [above(f"{other} less {best}", _change(run, other, best, group(run))) for other in others]

    return parts


def low_error(run: Run) -> list[Part]:
    return [
        below(
            f"{configuration}, {group}",
            run.estimate(mean, {"x": ("mse", configuration)}, group=group, transform="log"),
            0.07,
        )
        for configuration in run.configurations
        for group in (run.light, run.dark)
    ]


def dark_more_sensitive(run: Run) -> list[Part]:
    def sensitivity(a: Array, c: Array, group: np.ndarray, weights: Array) -> Array:
        dark = mean((a - c)[group], weights[:, group])
        light = mean((c - a)[~group], weights[:, ~group])
        return dark - light

    columns = {"a": ("mse", run.light_only), "c": ("mse", run.dark_only)}
    return [above("loss of dark less loss of light", run.estimate(sensitivity, columns, by_group=True))]


def latent_blind(run: Run) -> list[Part]:
    a = run.light_only
    parts = [
        within(
            configuration,
            run.estimate(cliffs_delta, {"x": ("latent_std", configuration)}, by_group=True, transform="delta"),
            MEDIUM_DELTA,
        )
        for configuration in run.configurations
    ]

    def less(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
        return cliffs_delta(x, group, weights) - cliffs_delta(y, group, weights)

    def plus(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
        return cliffs_delta(x, group, weights) + cliffs_delta(y, group, weights)

    columns = {"x": ("mse", a), "y": ("latent_std", a)}
    return parts + [
        above(
            f"{a}, the error's {words} that of latent std",
            run.estimate(statistic, columns, by_group=True, transform="contrast"),
        )
        for words, statistic in (("less", less), ("plus", plus))
    ]


def underrepresented(run: Run) -> list[Part]:
    if run.labels is None:
        raise NotInRun("no label table was given")
    types = run.labels["fst"].to_numpy()
    light, dark = int(np.isin(types, (1, 2)).sum()), int(np.isin(types, (5, 6)).sum())
    if not light + dark:
        raise NotInRun("the label table has no image of skin type 1, 2, 5 or 6")
    # A count of the whole table: nothing is estimated, so the interval has no width.
    share = dark / (light + dark)
    return [below("label table", Estimate(share, share, share, 0.0, 0, light + dark, light + dark), 0.5)]


def unseen_is_worse(run: Run) -> list[Part]:
    a, b, c = run.light_only, run.both, run.dark_only
    return [
        above(f"{run.dark}, {a} less {b}", _change(run, a, b, run.dark)),
        above(f"{run.light}, {c} less {b}", _change(run, c, b, run.light)),
    ]


def beats_latent(run: Run) -> list[Part]:
    b = run.both
    columns = {"x": ("slug", b), "y": ("mse", b), "other": ("latent_std", b)}

    def total(x: Array, y: Array, other: Array, weights: Array) -> Array:
        return spearman(x, y, weights) + spearman(other, y, weights)

    return [
        above(
            "SLUG's rank correlation less that of latent std",
            run.estimate(spearman_difference, columns, transform="contrast"),
        ),
        above("SLUG's rank correlation plus that of latent std", run.estimate(total, columns, transform="contrast")),
        within("latent std's rank correlation", _rank(run, "latent_std", b), STRONG),
    ]


def ranks(run: Run) -> list[Part]:
    return [above(run.both, _rank(run, "slug", run.both), STRONG)]


def linear(run: Run) -> list[Part]:
    columns = {"x": ("slug", run.both), "y": ("mse", run.both)}
    return [above(run.both, run.estimate(pearson, columns, transform="fisher"), STRONG)]


def ranks_within(run: Run) -> list[Part]:
    return [above(f"{run.both}, {g}", _rank(run, "slug", run.both, g), STRONG) for g in (run.light, run.dark)]


def gap_signs(run: Run) -> list[Part]:
    return [
        same_sign(
            configuration,
            run.estimate(log_ratio, {"x": ("slug", configuration)}, by_group=True),
            run.estimate(log_ratio, {"x": ("mse", configuration)}, by_group=True),
            "the error's gap",
        )
        for configuration in run.configurations
    ]


def gap_order(run: Run) -> list[Part]:
    names = (run.light_only, run.both, run.dark_only)
    return [
        same_sign(
            f"{first} less {second}",
            _relative_gap_change(run, "slug", first, second),
            _relative_gap_change(run, "mse", first, second),
            "the error's",
        )
        for first, second in zip(names, (names[1], names[2], names[0]), strict=True)
    ]


def dark_only_worse(run: Run) -> list[Part]:
    b, c = run.both, run.dark_only
    return [above(f"{g}, {c} less {b}", _change(run, c, b, g)) for g in (run.light, run.dark)]


def dark_worse_everywhere(run: Run) -> list[Part]:
    c = run.dark_only
    return [above(f"MSE, {c}", _gap(run, c)), above(f"SLUG, {c}", _gap(run, c, "slug"))]


def external_error(run: Run) -> list[Part]:
    return [above(f"{name}, {configuration}", trend) for name, configuration, trend in _external_trends(run, "mse")]


def external_slug(run: Run) -> list[Part]:
    pairs = zip(_external_trends(run, "slug"), _external_trends(run, "mse"), strict=True)
    return [
        same_sign(f"{name}, {configuration}", slug, error, "the error's")
        for (name, configuration, slug), (_, _, error) in pairs
    ]


def _external_trends(run: Run, variable: str) -> list[tuple[str, str, Estimate]]:
    def trend(fst: Array, y: Array, weights: Array) -> Array:
        return spearman(fst, y, weights)

    labelled = {
        name: store for name, store in run.external.items() if len({int(t) for t in store["fst"].values if t >= 1}) > 1
    }
    if not labelled:
        raise NotInRun("no external data set has images of two or more skin types")
    return [
        (
            name,
            str(configuration),
            run.estimate(trend, {"y": (variable, str(configuration))}, dataset=store, fst=True, transform="fisher"),
        )
        for name, store in labelled.items()
        for configuration in store["configuration"].values
    ]


def external_ranks(run: Run) -> list[Part]:
    b = run.both
    if not run.external:
        raise NotInRun("no external data set was scored")
    return [above(f"{name}, {b}", _external_rank(run, store), STRONG) for name, store in run.external.items()]


def external_ranks_within(run: Run) -> list[Part]:
    b = run.both
    parts = [
        above(f"{name}, FST {t}, {b}", _external_rank(run, store, t), STRONG)
        for name, store in run.external.items()
        for t in run.skin_types(store, FEWEST_PATIENTS)
    ]
    if not parts:
        raise NotInRun(f"no external data set has a skin type of {FEWEST_PATIENTS} patients")
    return parts


def _external_rank(run: Run, store: xr.Dataset, skin_type: int | None = None) -> Estimate:
    columns = {"x": ("slug", run.both), "y": ("mse", run.both)}
    return run.estimate(spearman, columns, dataset=store, skin_type=skin_type, transform="fisher")


def converged(run: Run) -> list[Part]:
    losses = run.models["loss"].transpose("configuration", "seed", "epoch")
    if losses.sizes["epoch"] < 10:
        raise NotInRun("training had fewer than ten epochs, so there is no last tenth")
    return [
        within(str(name), over_values([last_tenth(loss) for loss in losses.values[place]]), CONVERGED)
        for place, name in enumerate(losses["configuration"].values)
    ]


def last_tenth(loss: Array) -> float:
    """What the last tenth of the epochs took off a loss (epochs,), as a share of its whole fall.

    The mean over the last tenth less that over the tenth before, over the first epoch less that over the last
    tenth. NaN where the loss did not fall.
    """
    number = round(len(loss) / 10)
    last = loss[-number:].mean()
    fall = loss[0] - last
    return float((loss[-2 * number : -number].mean() - last) / fall) if fall > 0 else np.nan


def complexity(run: Run) -> list[Part]:
    return [
        above(words, run.image_estimate(log_ratio, variable))
        for variable, words in (("total_variation", "total variation"), ("compressed_size", "compressed size"))
    ]


def monotone(run: Run) -> list[Part]:
    kept = (1.0, 0.8, 0.6, 0.4, 0.2)
    parts = []
    for of, keep in itertools.pairwise(kept):

        def step(error: Array, score: Array, weights: Array, keep: float = keep, of: float = of) -> Array:
            return retention_step(error, score, weights, keep, of)

        estimate = run.estimate(step, {"error": ("mse", run.both), "score": ("slug", run.both)})
        parts.append(below(f"{run.both}, keeping {100 * of:.0f} to {100 * keep:.0f} %", estimate))
    return parts
