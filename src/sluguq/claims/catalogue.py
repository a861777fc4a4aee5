"""The claims of both papers, each with the rule that decides it.

A claim's `parts` computes its estimates from a `Run`; the rules are those of `sluguq.claims.rules`. A, B
and C in the statements are the configurations trained on the lightest group only, on half of each, and on
the darkest group only, whatever their names in the run; light and dark are its lightest and darkest group.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sluguq.claims.rules import FINDS, MEDIUM_DELTA, STRONG, Part, above, below, same_sign, within
from sluguq.claims.run import NotInRun, Run
from sluguq.retention import retention_step
from sluguq.statistics import (
    Array,
    Estimate,
    cliffs_delta,
    difference,
    log_ratio,
    mean,
    pearson,
    spearman,
    spearman_difference,
)

FAIRNESS = "fairness paper"
SLUG = "SLUG paper"


class Claim(NamedTuple):
    """One claim.

    key: its name in tables. paper, where: who says it and where. statement: what is claimed. statistic: what
    is estimated. rule: when it holds. published: the paper's own figure, empty where it gives none. parts:
    computes the parts from a run; raises NotInRun where the run cannot speak to it.
    """

    key: str
    paper: str
    where: str
    statement: str
    statistic: str
    rule: str
    published: str
    parts: Callable[[Run], list[Part]]
    fewest_seeds: int = 2


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


def _gap_in(which: Callable[[Run], str], claimed: Callable[..., Part] = above) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        configuration = which(run)
        return [claimed(configuration, _gap(run, configuration))]

    return parts


def _no_mirror(run: Run) -> list[Part]:
    a, c = run.light_only, run.dark_only
    return [
        above(f"gap under {a} less gap under {c}", _gap_minus(run, a, c, -1)),
        above(f"gap under {a} plus gap under {c}", _gap_minus(run, a, c, 1)),
    ]


def _best_under(group: Callable[[Run], str], which: Callable[[Run], str]) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        best = which(run)
        others = [name for name in (run.light_only, run.both, run.dark_only) if name != best]
        return [above(f"{other} less {best}", _change(run, other, best, group(run))) for other in others]

    return parts


def _low_error(run: Run) -> list[Part]:
    return [
        below(
            f"{configuration}, {group}",
            run.estimate(mean, {"x": ("mse", configuration)}, group=group, transform="log"),
            0.07,
        )
        for configuration in run.configurations
        for group in (run.light, run.dark)
    ]


def _dark_more_sensitive(run: Run) -> list[Part]:
    def sensitivity(a: Array, c: Array, group: np.ndarray, weights: Array) -> Array:
        dark = mean((a - c)[group], weights[:, group])
        light = mean((c - a)[~group], weights[:, ~group])
        return dark - light

    columns = {"a": ("mse", run.light_only), "c": ("mse", run.dark_only)}
    return [above("loss of dark less loss of light", run.estimate(sensitivity, columns, by_group=True))]


def _latent_blind(run: Run) -> list[Part]:
    return [
        within(
            configuration,
            run.estimate(cliffs_delta, {"x": ("latent_std", configuration)}, by_group=True, transform="fisher"),
            MEDIUM_DELTA,
        )
        for configuration in run.configurations
    ]


def _underrepresented(run: Run) -> list[Part]:
    if run.labels is None:
        raise NotInRun("no label table was given")
    types = run.labels["fst"].to_numpy()
    light, dark = int(np.isin(types, (1, 2)).sum()), int(np.isin(types, (5, 6)).sum())
    if not light + dark:
        raise NotInRun("the label table has no image of skin type 1, 2, 5 or 6")
    # A count of the whole table: nothing is estimated, so the interval has no width.
    share = dark / (light + dark)
    return [below("label table", Estimate(share, share, share, 0.0, 0, light + dark, light + dark), 0.5)]


def _unseen_is_worse(run: Run) -> list[Part]:
    a, b, c = run.light_only, run.both, run.dark_only
    return [
        above(f"{run.dark}, {a} less {b}", _change(run, a, b, run.dark)),
        above(f"{run.light}, {c} less {b}", _change(run, c, b, run.light)),
    ]


def _beats_latent(run: Run) -> list[Part]:
    b = run.both
    columns = {"x": ("slug", b), "y": ("mse", b), "other": ("latent_std", b)}
    return [
        above("SLUG's rank correlation less that of latent std", run.estimate(spearman_difference, columns)),
        below("latent std's rank correlation", _rank(run, "latent_std", b), STRONG),
    ]


def _ranks(run: Run) -> list[Part]:
    return [above(run.both, _rank(run, "slug", run.both), STRONG)]


def _linear(run: Run) -> list[Part]:
    columns = {"x": ("slug", run.both), "y": ("mse", run.both)}
    return [above(run.both, run.estimate(pearson, columns, transform="fisher"), STRONG)]


def _ranks_within(run: Run) -> list[Part]:
    return [above(f"{run.both}, {g}", _rank(run, "slug", run.both, g), STRONG) for g in (run.light, run.dark)]


def _gap_signs(run: Run) -> list[Part]:
    return [
        same_sign(
            configuration,
            run.estimate(log_ratio, {"x": ("slug", configuration)}, by_group=True),
            run.estimate(log_ratio, {"x": ("mse", configuration)}, by_group=True),
            "the error's gap",
        )
        for configuration in run.configurations
    ]


def _gap_order(run: Run) -> list[Part]:
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


def _dark_only_worse(run: Run) -> list[Part]:
    b, c = run.both, run.dark_only
    return [above(f"{g}, {c} less {b}", _change(run, c, b, g)) for g in (run.light, run.dark)]


def _dark_worse_everywhere(run: Run) -> list[Part]:
    c = run.dark_only
    return [above(f"MSE, {c}", _gap(run, c)), above(f"SLUG, {c}", _gap(run, c, "slug"))]


def _external_error(run: Run) -> list[Part]:
    return [above(f"{name}, {configuration}", trend) for name, configuration, trend in _external_trends(run, "mse")]


def _external_slug(run: Run) -> list[Part]:
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


def _monotone(run: Run) -> list[Part]:
    kept = (1.0, 0.8, 0.6, 0.4, 0.2)
    parts = []
    for of, keep in itertools.pairwise(kept):

        def step(error: Array, score: Array, weights: Array, keep: float = keep, of: float = of) -> Array:
            return retention_step(error, score, weights, keep, of)

        estimate = run.estimate(step, {"error": ("mse", run.both), "score": ("slug", run.both)})
        parts.append(below(f"{run.both}, keeping {100 * of:.0f} to {100 * keep:.0f} %", estimate))
    return parts


def _finds(which: str, claimed: Callable[..., Part], kinds: tuple[str, ...]) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        frame = run.pixels
        configuration = _for_objects(run)
        chosen = frame[(frame["map"] == which) & (frame["configuration"] == configuration)]
        there = [kind for kind in kinds if (chosen["artefact"] == kind).any()]
        if not there:
            raise NotInRun(f"no {' or '.join(kinds)} was drawn")
        return [
            claimed(
                f"{kind}, {configuration}",
                run.table_estimate(chosen[chosen["artefact"] == kind], mean, {"x": "auroc"}, "logit"),
                FINDS,
            )
            for kind in there
        ]

    return parts


def _finds_the_object(run: Run) -> list[Part]:
    parts = _finds("slug_map", above, _KINDS)(run)
    configuration = _for_objects(run)
    frame = run.pixels[run.pixels["configuration"] == configuration]
    keys = ["artefact", "seed", "id", "clean_image"]
    wide = frame.pivot(index=keys, columns="map", values="auroc").reset_index()
    if "slug_bare" not in wide:
        raise NotInRun("the images were not scored without their objects")

    def gain(x: Array, y: Array, weights: Array) -> Array:
        return mean(x - y, weights)

    return parts + [
        above(
            f"{kind}, {configuration}, less that of the bare image's map",
            run.table_estimate(wide[wide["artefact"] == kind], gain, {"x": "slug_map", "y": "slug_bare"}),
        )
        for kind in _KINDS
        if (wide["artefact"] == kind).any()
    ]


def _between(run: Run) -> list[Part]:
    def log_mean_ratio(x: Array, y: Array, weights: Array) -> Array:
        return mean(np.log(x) - np.log(y), weights)

    configuration = _for_objects(run)
    frame = run.regions[run.regions["configuration"] == configuration]
    pairs = (("object", "lesion"), ("lesion", "rest"))
    return [
        above(
            f"{configuration}, {high} over {low}",
            run.table_estimate(frame, log_mean_ratio, {"x": f"slug_{high}", "y": f"slug_{low}"}),
        )
        for high, low in pairs
    ]


def _for_objects(run: Run) -> str:
    """B where the run has it, else the first configuration."""
    try:
        return run.both
    except NotInRun:
        return run.configurations[0]


_KINDS = ("ruler", "ink", "patch")
_GAP = "mean MSE of dark less that of light images"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "dark_underrepresented",
        FAIRNESS,
        "section 2.3, figure 2",
        "The data set has fewer images of dark skin (FST 5, 6) than of light skin (FST 1, 2).",
        "share of FST 5, 6 among images of FST 1, 2, 5, 6 in the label table",
        "the share is below 0.5 (a count, no interval)",
        "",
        _underrepresented,
        fewest_seeds=0,
    ),
    Claim(
        "error_is_low",
        FAIRNESS,
        "section 3, figure 3",
        "The VAE reconstructs with an MSE below 0.07.",
        "mean MSE by configuration and group",
        "in every configuration and group the interval is below 0.07",
        "0.07",
        _low_error,
    ),
    Claim(
        "gap_under_A",
        FAIRNESS,
        "section 3, figure 3; SLUG paper, figure 2",
        "Trained on light skin only (A), the error of dark skin is larger.",
        _GAP,
        "the interval is above 0",
        "",
        _gap_in(lambda run: run.light_only),
    ),
    Claim(
        "gap_under_B",
        FAIRNESS,
        "section 3, figure 3; SLUG paper, figure 2",
        "Trained on both in equal parts (B), a gap to the disadvantage of dark skin remains.",
        _GAP,
        "the interval is above 0",
        "",
        _gap_in(lambda run: run.both),
    ),
    Claim(
        "gap_under_C_reversed",
        FAIRNESS,
        "section 3, figure 3",
        "Trained on dark skin only (C), the opposite occurs: the error of light skin is larger.",
        _GAP,
        "the interval is below 0",
        "",
        _gap_in(lambda run: run.dark_only, below),
    ),
    Claim(
        "no_mirror",
        FAIRNESS,
        "section 3, figure 3",
        "C is no mirror of A: whatever its sign, the gap under C is smaller than that under A.",
        "gap under A less gap under C, and gap under A plus gap under C",
        "both intervals are above 0, that is |gap C| < gap A",
        "",
        _no_mirror,
    ),
    Claim(
        "light_best_under_A",
        FAIRNESS,
        "section 3, figure 3",
        "Light skin is reconstructed best by a model trained on light skin only (A).",
        "mean MSE of light images under B and C, less that under A",
        "both intervals are above 0",
        "",
        _best_under(lambda run: run.light, lambda run: run.light_only),
    ),
    Claim(
        "dark_best_under_C",
        FAIRNESS,
        "section 3, figure 5",
        "Dark skin is reconstructed best by a model trained on dark skin only (C).",
        "mean MSE of dark images under A and B, less that under C",
        "both intervals are above 0",
        "",
        _best_under(lambda run: run.dark, lambda run: run.dark_only),
    ),
    Claim(
        "dark_more_sensitive",
        FAIRNESS,
        "section 3, figures 4 and 5",
        "Dark skin depends more on who is trained on than light skin does.",
        "what dark skin loses from C to A, less what light skin loses from A to C, in MSE",
        "the interval is above 0",
        "",
        _dark_more_sensitive,
    ),
    Claim(
        "latent_std_is_blind",
        FAIRNESS,
        "section 3, figure 6; SLUG paper, figures 1 and 2",
        "The latent standard deviation does not separate the groups.",
        "Cliff's delta of the mean latent standard deviation, dark against light",
        f"in every configuration the interval lies within ±{MEDIUM_DELTA} (less than a medium difference)",
        "",
        _latent_blind,
    ),
    Claim(
        "unseen_is_worse",
        SLUG,
        "section 1, figures 1 and 2",
        "The error follows representation: a group that was not trained on fares worse than under B.",
        "mean MSE of dark images under A less B, of light images under C less B",
        "both intervals are above 0",
        "",
        _unseen_is_worse,
    ),
    Claim(
        "dark_only_worse_for_all",
        SLUG,
        "section 5",
        "Training on dark skin only (C) is worse for all than training on both (B).",
        "mean MSE under C less that under B, by group",
        "both intervals are above 0",
        "",
        _dark_only_worse,
    ),
    Claim(
        "dark_worse_even_under_C",
        SLUG,
        "section 5",
        "Error and SLUG are higher for dark skin even when trained on dark skin only (C).",
        "mean of dark less that of light images, in MSE and in SLUG",
        "both intervals are above 0",
        "",
        _dark_worse_everywhere,
    ),
    Claim(
        "slug_ranks_with_error",
        SLUG,
        "section 4, figure 4 left",
        "SLUG is strongly correlated with the error on B: by rank.",
        "Spearman correlation of SLUG and MSE over the test images",
        f"the interval is above {STRONG}",
        "",
        _ranks,
    ),
    Claim(
        "slug_linear_with_error",
        SLUG,
        "section 4, figure 4 left",
        "SLUG is strongly correlated with the error on B: linearly.",
        "Pearson correlation of SLUG and MSE over the test images",
        f"the interval is above {STRONG}",
        "",
        _linear,
    ),
    Claim(
        "slug_ranks_within_groups",
        SLUG,
        "section 4, figures 2 and 4",
        "The correlation remains within each skin tone group (B).",
        "Spearman correlation of SLUG and MSE within each group",
        f"both intervals are above {STRONG}",
        "",
        _ranks_within,
    ),
    Claim(
        "slug_beats_latent_std",
        SLUG,
        "abstract, figure 2",
        "Unlike SLUG, the encoder's standard deviation is no strong indicator of the error (B).",
        "Spearman correlation with MSE: SLUG's less that of the latent standard deviation; the latter's own",
        f"the difference's interval is above 0, and the latter's below {STRONG}",
        "",
        _beats_latent,
    ),
    Claim(
        "slug_gap_has_sign_of_error",
        SLUG,
        "section 4, figure 2",
        "SLUG captures the bias: its gap between the groups has the sign of the error's in every configuration.",
        "log ratio of group means, dark over light, of SLUG and of MSE",
        "in every configuration both intervals exclude 0 on the same side",
        "",
        _gap_signs,
    ),
    Claim(
        "slug_gaps_order_as_error",
        SLUG,
        "section 4, figure 2",
        "SLUG's gaps come in the order of the error's gaps over the configurations.",
        "differences between configurations of the log ratio of group means, of SLUG and of MSE",
        "for every pair of A, B, C both intervals exclude 0 on the same side",
        "",
        _gap_order,
    ),
    Claim(
        "external_error_rises_with_fst",
        SLUG,
        "section 4, figure 3",
        "On external data the error is larger the darker the skin.",
        "Spearman correlation of FST and MSE, every external data set and configuration",
        "every interval is above 0",
        "",
        _external_error,
    ),
    Claim(
        "external_slug_follows_error",
        SLUG,
        "section 4, figure 3",
        "On external data SLUG goes with FST as the error does.",
        "Spearman correlation of FST with SLUG, and with MSE",
        "in every data set and configuration both intervals exclude 0 on the same side",
        "",
        _external_slug,
    ),
    Claim(
        "removal_lowers_error",
        SLUG,
        "section 4, figure 4 centre",
        "Removing the most uncertain images lowers the error of the rest again and again (B).",
        "change of the retained images' mean MSE, over that of all, as 100, 80, 60, 40, 20 % are kept",
        "the interval of each of the four steps is below 0",
        "",
        _monotone,
    ),
    Claim(
        "slug_map_finds_objects",
        SLUG,
        "section 4, figure 4 right",
        "SLUG maps highlight rulers, ink and patches.",
        "mean over images of the pixel AUROC of the SLUG map for a drawn object, by kind; the same less that of the "
        "SLUG map of the image without the object",
        f"every AUROC's interval is above {FINDS}, and every difference's above 0",
        "",
        _finds_the_object,
    ),
    Claim(
        "error_map_misses_objects",
        SLUG,
        "section 4, figure 4 right",
        "The network reconstructs foreign objects, so the error map cannot flag them.",
        "mean over images of the pixel AUROC of the error map for a drawn object, by kind",
        f"every interval is below {FINDS}",
        "",
        _finds("error_map", below, _KINDS),
    ),
    Claim(
        "lesion_between_object_and_skin",
        SLUG,
        "section 4, figure 4 right",
        "The lesion is uncertain too, but less than foreign objects.",
        "mean log ratio of the SLUG map's level: object over lesion, lesion over the rest",
        "both intervals are above 0",
        "",
        _between,
    ),
)
