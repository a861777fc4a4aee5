"""What each claim's parts are: estimates from a `Run`, each held against its threshold.

The rules are those of `sluguq.claims.rules`; which claim asks for what is in `sluguq.claims.catalogue`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from sluguq.analysis.aggregated import FITZPATRICK
from sluguq.analysis.estimates import Estimate, over_values
from sluguq.analysis.retention import retention_step
from sluguq.analysis.statistics import (
    Array,
    cliffs_delta,
    log_ratio,
    logarithm,
    mean,
    pearson,
    spearman,
    spearman_difference,
)
from sluguq.claims.rules import (
    CAPTURED,
    CONVERGED,
    FEWEST_PATIENTS,
    MEDIUM_DELTA,
    SMALLEST_ADVANTAGE,
    SMALLEST_CORRELATION,
    SMALLEST_DELTA,
    SMALLEST_RATIO,
    SMALLEST_SHARE,
    SMALLEST_TONE,
    STRONG,
    Part,
    above,
    below,
    certain,
    counted,
    follows,
    within,
)
from sluguq.claims.run import NotInRun, Run

# Statistics of two configurations at once; images (images,), weights (replicates, images).


def _gap(run: Run, configuration: str, variable: str = "mse") -> Estimate:
    """Logarithm of the ratio of means, dark over light."""
    return run.estimate(log_ratio, {"x": (variable, configuration)}, by_group=True)


def _change(run: Run, later: str, earlier: str, group: str) -> Estimate:
    """Logarithm of the ratio of a group's mean errors, later over earlier."""
    return run.estimate(_log_change, {"after": ("mse", later), "before": ("mse", earlier)}, group=group)


def _log_change(after: Array, before: Array, weights: Array) -> Array:
    return logarithm(mean(after, weights)) - logarithm(mean(before, weights))


def _two_gaps(run: Run, variable: str, first: str, second: str, sign: int = -1) -> Estimate:
    """The gap under the first configuration less, or plus, that under the second."""

    def combined(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
        return log_ratio(x, group, weights) + sign * log_ratio(y, group, weights)

    return run.estimate(combined, {"x": (variable, first), "y": (variable, second)}, by_group=True)


def _rank(run: Run, x: str, configuration: str, group: str | None = None) -> Estimate:
    columns = {"x": (x, configuration), "y": ("mse", configuration)}
    return run.estimate(spearman, columns, group=group, transform="fisher")


# The claims' parts.


def gap_in(which: Callable[[Run], str], claimed: Callable[..., Part] = above) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        configuration = which(run)
        return [claimed(configuration, _gap(run, configuration), smallest=SMALLEST_RATIO)]

    return parts


def no_mirror(run: Run) -> list[Part]:
    a, c = run.light_only, run.dark_only
    return [
        above(f"gap under {a} {word} gap under {c}", _two_gaps(run, "mse", a, c, sign), smallest=SMALLEST_RATIO)
        for word, sign in (("less", -1), ("plus", 1))
    ]


def best_under(group: Callable[[Run], str], which: Callable[[Run], str]) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        best = which(run)
        others = [name for name in (run.light_only, run.both, run.dark_only) if name != best]
        return [
            above(f"{other} over {best}", _change(run, other, best, group(run)), smallest=SMALLEST_RATIO)
            for other in others
        ]

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
        return (dark - light) / mean((a + c) / 2, weights)

    columns = {"a": ("mse", run.light_only), "c": ("mse", run.dark_only)}
    estimate = run.estimate(sensitivity, columns, by_group=True)
    return [above("loss of dark less loss of light", estimate, smallest=SMALLEST_SHARE)]


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
            smallest=SMALLEST_DELTA,
        )
        for words, statistic in (("less", less), ("plus", plus))
    ]


def underrepresented(run: Run) -> list[Part]:
    if run.labels is None:
        raise NotInRun("no label table was given")
    if run.scale != FITZPATRICK.name:
        raise NotInRun(f"the labels are of another scale, {run.scale}")
    types = run.labels["fst"].to_numpy()
    light, dark = int(np.isin(types, (1, 2)).sum()), int(np.isin(types, (5, 6)).sum())
    if not light + dark:
        raise NotInRun("the label table has no image of skin type 1, 2, 5 or 6")
    return [counted("label table", dark / (light + dark), light + dark, 0.5)]


def unseen_is_worse(run: Run) -> list[Part]:
    a, b, c = run.light_only, run.both, run.dark_only
    return [
        above(f"{group}, {own} over {b}", _change(run, own, b, group), smallest=SMALLEST_RATIO)
        for group, own in ((run.dark, a), (run.light, c))
    ]


def beats_latent(run: Run) -> list[Part]:
    b = run.both
    columns = {"x": ("slug", b), "y": ("mse", b), "other": ("latent_std", b)}

    def total(x: Array, y: Array, other: Array, weights: Array) -> Array:
        return spearman(x, y, weights) + spearman(other, y, weights)

    return [
        *(
            above(
                f"SLUG's rank correlation {word} that of latent std",
                run.estimate(of, columns, transform="contrast"),
                smallest=SMALLEST_ADVANTAGE,
            )
            for word, of in (("less", spearman_difference), ("plus", total))
        ),
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
    def short(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
        return log_ratio(x, group, weights) - CAPTURED * log_ratio(y, group, weights)

    return [
        follows(
            name,
            _gap(run, name, "slug"),
            _gap(run, name),
            run.estimate(short, {"x": ("slug", name), "y": ("mse", name)}, by_group=True),
            "the error's gap",
        )
        for name in run.configurations
    ]


def gap_order(run: Run) -> list[Part]:
    def short(x: Array, y: Array, x2: Array, y2: Array, group: np.ndarray, weights: Array) -> Array:
        of_slug = log_ratio(x, group, weights) - log_ratio(x2, group, weights)
        return of_slug - CAPTURED * (log_ratio(y, group, weights) - log_ratio(y2, group, weights))

    names = (run.light_only, run.both, run.dark_only)
    parts = []
    for first, second in zip(names, (names[1], names[2], names[0]), strict=True):
        columns = {"x": ("slug", first), "y": ("mse", first), "x2": ("slug", second), "y2": ("mse", second)}
        parts.append(
            follows(
                f"{first} less {second}",
                _two_gaps(run, "slug", first, second),
                _two_gaps(run, "mse", first, second),
                run.estimate(short, columns, by_group=True),
                "the error's",
            )
        )
    return parts


def dark_only_worse(run: Run) -> list[Part]:
    b, c = run.both, run.dark_only
    return [
        above(f"{group}, {c} over {b}", _change(run, c, b, group), smallest=SMALLEST_RATIO)
        for group in (run.light, run.dark)
    ]


def dark_only_worse_abroad(run: Run) -> list[Part]:
    b, c = run.both, run.dark_only
    columns = {"after": ("mse", c), "before": ("mse", b)}
    parts = [
        above(
            f"{name}, {run.scale} {t}, {c} over {b}",
            run.estimate(_log_change, columns, dataset=store, skin_type=t),
            smallest=SMALLEST_RATIO,
        )
        for name, store in run.external.items()
        for t in run.skin_types(store, FEWEST_PATIENTS)
    ]
    if not parts:
        raise NotInRun(f"no external data set has a skin type of {FEWEST_PATIENTS} patients")
    return parts


def dark_worse_everywhere(run: Run) -> list[Part]:
    c = run.dark_only
    return [
        above(f"{words}, {c}", _gap(run, c, variable), smallest=SMALLEST_RATIO)
        for words, variable in (("MSE", "mse"), ("SLUG", "slug"))
    ]


def external_error(run: Run) -> list[Part]:
    return [
        above(
            f"{name}, {configuration}", _trend(run, store, types, "mse", configuration), smallest=SMALLEST_CORRELATION
        )
        for name, store, types, configuration in _of_several_types(run)
    ]


def external_slug(run: Run) -> list[Part]:
    def short(fst: Array, x: Array, y: Array, weights: Array) -> Array:
        alike = _types_alike(fst, weights)
        return spearman(fst, x, alike) - CAPTURED * spearman(fst, y, alike)

    parts = []
    for name, store, types, configuration in _of_several_types(run):
        columns = {"x": ("slug", configuration), "y": ("mse", configuration)}
        parts.append(
            follows(
                f"{name}, {configuration}",
                _trend(run, store, types, "slug", configuration),
                _trend(run, store, types, "mse", configuration),
                run.estimate(short, columns, dataset=store, along=types, transform="contrast"),
                "the error's",
            )
        )
    return parts


def _of_several_types(run: Run) -> list[tuple[str, xr.Dataset, list[int], str]]:
    """External data sets with two or more skin types of enough patients, with these types, by configuration."""
    found = [
        (name, store, types, str(configuration))
        for name, store in run.external.items()
        if len(types := run.skin_types(store, FEWEST_PATIENTS)) > 1
        for configuration in store["configuration"].values
    ]
    if not found:
        raise NotInRun(f"no external data set has two or more skin types of {FEWEST_PATIENTS} patients each")
    return found


def _trend(run: Run, store: xr.Dataset, types: Sequence[int], variable: str, configuration: str) -> Estimate:
    """Rank correlation of skin type and a variable."""

    def trend(fst: Array, y: Array, weights: Array) -> Array:
        return spearman(fst, y, _types_alike(fst, weights))

    return run.estimate(trend, {"y": (variable, configuration)}, dataset=store, along=types, transform="fisher")


def _types_alike(fst: Array, weights: Array) -> Array:
    """Weights with which every skin type counts alike.

    Else a rank correlation with the type is as small as the rarest type is rare, whatever its error.
    """
    alike = np.zeros_like(weights)
    for t in np.unique(fst):
        of_type = weights[:, fst == t]
        total = of_type.sum(axis=1, keepdims=True)
        alike[:, fst == t] = np.divide(of_type, total, out=np.zeros_like(of_type), where=total > 0)
    return alike


def external_ranks(run: Run) -> list[Part]:
    b = run.both
    if not run.external:
        raise NotInRun("no external data set was scored")
    return [above(f"{name}, {b}", _external_rank(run, store), STRONG) for name, store in run.external.items()]


def external_ranks_within(run: Run) -> list[Part]:
    b = run.both
    parts = [
        above(f"{name}, {run.scale} {t}, {b}", _external_rank(run, store, t), STRONG)
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
    if "loss" not in run.models:
        raise NotInRun("the networks were trained elsewhere, so their training has no history here")
    losses = run.models["loss"].transpose("configuration", "seed", "epoch")
    if losses.sizes["epoch"] < 10:
        raise NotInRun("training had fewer than ten epochs, so there is no last tenth")
    return [
        _levelled_off(str(name), over_values([last_tenth(loss) for loss in losses.values[place]]))
        for place, name in enumerate(losses["configuration"].values)
    ]


def _levelled_off(name: str, estimate: Estimate) -> Part:
    """Whether the losses of a configuration's seeds converged; one that did not fall at all refutes it by itself."""
    part = within(name, estimate, CONVERGED)
    if not estimate.undefined:
        return part
    words = f"{part.threshold}; in {estimate.undefined} of {estimate.seeds + estimate.undefined} seeds it did not fall"
    return certain(name, estimate._replace(seeds=estimate.seeds + estimate.undefined), words, holds=False)


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
        above(words, run.image_estimate(log_ratio, variable), smallest=SMALLEST_RATIO)
        for variable, words in (("total_variation", "total variation"), ("compressed_size", "compressed size"))
    ]


def lesion_gap(run: Run) -> list[Part]:
    b = run.both
    frame = run.pictures
    pair = frame[(frame["configuration"] == b) & frame["group"].isin([run.light, run.dark])]
    estimate = run.picture_estimate(
        log_ratio, pair.assign(inside=pair["group"] == run.dark), [b], x="error_lesion", group="inside"
    )
    return [above(b, estimate, smallest=SMALLEST_RATIO)]


def tone_follows_training(run: Run) -> list[Part]:
    def change(after: Array, before: Array, weights: Array) -> Array:
        return mean(after - before, weights)

    a, c = run.light_only, run.dark_only
    dark = run.pictures[run.pictures["group"] == run.dark]
    keys, tone = ["seed", "image", "cluster"], "ita_reconstruction"
    of_a, of_c = (dark.loc[dark["configuration"] == name, [*keys, tone]] for name in (a, c))
    both = of_a.merge(of_c.rename(columns={tone: "before"}), on=keys)
    estimate = run.picture_estimate(change, both, [a, c], after=tone, before="before")
    return [above(f"{run.dark}, {a} less {c}", estimate, smallest=SMALLEST_TONE)]


def varies(run: Run) -> list[Part]:
    return [above(what, estimate, smallest=SMALLEST_RATIO) for what, estimate in run.variability.items()]


def monotone(run: Run) -> list[Part]:
    kept = (1.0, 0.8, 0.6, 0.4, 0.2)
    b = run.both
    columns = {"error": ("mse", b), "score": ("slug", b)}
    parts = []
    for of, keep in itertools.pairwise(kept):

        def step(error: Array, score: Array, weights: Array, keep: float = keep, of: float = of) -> Array:
            return retention_step(error, score, weights, keep, of)

        def best(error: Array, weights: Array, keep: float = keep, of: float = of) -> Array:
            return retention_step(error, error, weights, keep, of)

        def short(error: Array, score: Array, weights: Array, keep: float = keep, of: float = of) -> Array:
            oracle = retention_step(error, error, weights, keep, of)
            return retention_step(error, score, weights, keep, of) - CAPTURED * oracle

        name = f"{b}, keeping {100 * of:.0f} to {100 * keep:.0f} %"
        oracle = run.estimate(best, {"error": ("mse", b)})
        own, less = run.estimate(step, columns), run.estimate(short, columns)
        parts.append(follows(name, own, oracle, less, "what removal by the error itself does"))
    return parts
