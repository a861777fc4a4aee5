"""The claims of both papers, each with the rule that decides it.

A claim's `parts` computes its estimates from a `Run`; the rules are those of `sluguq.claims.rules`. A, B
and C in the statements are the configurations trained on the lightest group only, on half of each, and on
the darkest group only, whatever their names in the run; light and dark are its lightest and darkest group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sluguq.claims.artefacts import (
    KINDS,
    beats_the_error_map,
    between,
    finds,
    finds_the_artefact,
    reconstructed,
    tells_labels,
)
from sluguq.claims.parts import (
    beats_latent,
    best_under,
    complexity,
    converged,
    dark_more_sensitive,
    dark_only_worse,
    dark_only_worse_abroad,
    dark_worse_everywhere,
    external_error,
    external_ranks,
    external_ranks_within,
    external_slug,
    gap_in,
    gap_order,
    gap_signs,
    latent_blind,
    lesion_gap,
    linear,
    low_error,
    monotone,
    no_mirror,
    ranks,
    ranks_within,
    tone_follows_training,
    underrepresented,
    unseen_is_worse,
    varies,
)
from sluguq.claims.rules import (
    CAPTURED,
    CONVERGED,
    FINDS,
    MEDIUM_DELTA,
    SMALLEST_ADVANTAGE,
    SMALLEST_AUROC,
    SMALLEST_CORRELATION,
    SMALLEST_DELTA,
    SMALLEST_TONE,
    STRONG,
    WELL_RECONSTRUCTED,
    Part,
    above,
    below,
)
from sluguq.claims.run import Run
from sluguq.machine import extensions

FAIRNESS = "fairness paper"
SLUG = "SLUG paper"


class Claim(NamedTuple):
    """One claim.

    key: its name in tables. paper, where: who says it and where. statement: what is claimed. statistic: what
    is estimated. rule: when it holds. smallest: the smallest effect of interest, with its reason; empty where the
    threshold is none of no effect. published: the paper's own figure, empty where it gives none. parts:
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
    smallest: str = ""


_GAP = "logarithm of the ratio of mean MSE, dark over light"
_RATIO = "a ratio of 1.05: retraining with another seed moves a group's mean error by 2 to 5 %"
_SHARE = (
    f"{CAPTURED:g} of the error's own: SLUG is a variance in the error's units; one that knew all would have all of it"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "dark_underrepresented",
        FAIRNESS,
        "section 2.3, figure 2",
        "The data set has fewer images of dark skin (FST 5, 6) than of light skin (FST 1, 2).",
        "share of FST 5, 6 among images of FST 1, 2, 5, 6 in the label table",
        "the share is below 0.5 (a count, no interval)",
        "",
        underrepresented,
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
        low_error,
    ),
    Claim(
        "loss_converged",
        FAIRNESS,
        "section 2.4; SLUG paper, section 4",
        "After the epochs that were trained the training loss has converged.",
        "share of the loss's whole fall that the last tenth of the epochs took, by configuration",
        f"every interval lies within ±{CONVERGED}",
        "after 15 and 1,000 epochs",
        converged,
    ),
    Claim(
        "gap_under_A",
        FAIRNESS,
        "section 3, figure 3; SLUG paper, figure 2",
        "Trained on light skin only (A), the error of dark skin is larger.",
        _GAP,
        "the interval is above 0, the estimate at least the smallest effect",
        "",
        gap_in(lambda run: run.light_only),
        smallest=_RATIO,
    ),
    Claim(
        "gap_under_B",
        FAIRNESS,
        "section 3, figure 3; SLUG paper, figure 2",
        "Trained on both in equal parts (B), a gap to the disadvantage of dark skin remains.",
        _GAP,
        "the interval is above 0, the estimate at least the smallest effect",
        "",
        gap_in(lambda run: run.both),
        smallest=_RATIO,
    ),
    Claim(
        "gap_under_C_reversed",
        FAIRNESS,
        "section 3, figure 3",
        "Trained on dark skin only (C), the opposite occurs: the error of light skin is larger.",
        _GAP,
        "the interval is below 0, the estimate at least the smallest effect",
        "",
        gap_in(lambda run: run.dark_only, below),
        smallest=_RATIO,
    ),
    Claim(
        "no_mirror",
        FAIRNESS,
        "section 3, figure 3",
        "C is no mirror of A: whatever its sign, the gap under C is smaller than that under A.",
        "gap under A less gap under C, and gap under A plus gap under C",
        "both intervals are above 0, that is |gap C| < gap A, both estimates at least the smallest effect",
        "",
        no_mirror,
        smallest=_RATIO,
    ),
    Claim(
        "light_best_under_A",
        FAIRNESS,
        "section 3, figure 3",
        "Light skin is reconstructed best by a model trained on light skin only (A).",
        "log ratio of the mean MSE of light images under B, and under C, over that under A",
        "both intervals are above 0, both estimates at least the smallest effect",
        "",
        best_under(lambda run: run.light, lambda run: run.light_only),
        smallest=_RATIO,
    ),
    Claim(
        "dark_best_under_C",
        FAIRNESS,
        "section 3, figure 5",
        "Dark skin is reconstructed best by a model trained on dark skin only (C).",
        "log ratio of the mean MSE of dark images under A, and under B, over that under C",
        "both intervals are above 0, both estimates at least the smallest effect",
        "",
        best_under(lambda run: run.dark, lambda run: run.dark_only),
        smallest=_RATIO,
    ),
    Claim(
        "dark_more_sensitive",
        FAIRNESS,
        "section 3, figures 4 and 5",
        "Dark skin depends more on who is trained on than light skin does.",
        "what dark skin loses from C to A, less what light skin loses from A to C, in MSE, over the mean MSE of both",
        "the interval is above 0, the estimate at least the smallest effect",
        "",
        dark_more_sensitive,
        smallest="0.05 of the mean error: retraining with another seed moves a group's mean error by 2 to 5 %",
    ),
    Claim(
        "lesion_better_on_light_skin",
        FAIRNESS,
        "section 1, figure 1",
        "Trained on both in equal parts (B), the lesion is preserved better on light skin.",
        "logarithm of the ratio of the mean error inside the lesion, dark over light",
        "the interval is above 0, the estimate at least the smallest effect",
        "",
        lesion_gap,
        smallest=_RATIO,
    ),
    Claim(
        "tone_follows_training",
        FAIRNESS,
        "section 3, figures 4 and 5",
        "The colour of reconstructions of dark skin changes with who is trained on: lighter under A than under C.",
        "mean skin tone (ITA) of reconstructions of dark images under A less that under C, in degrees",
        "the interval is above 0, the estimate at least the smallest effect",
        "",
        tone_follows_training,
        smallest=f"{SMALLEST_TONE:g} degrees: less than a quarter of the narrowest class of skin colour",
    ),
    Claim(
        "latent_std_is_blind",
        FAIRNESS,
        "section 3, figure 6; SLUG paper, figures 1 and 2",
        "The latent standard deviation separates the groups by less than a medium difference, and under A by less "
        "than the error does.",
        "Cliff's delta, dark against light, of the mean latent standard deviation; under A that of MSE less, and plus, "
        "that of the latent standard deviation",
        f"in every configuration the interval lies within ±{MEDIUM_DELTA}, and under A both intervals are above 0, "
        "that is |delta of latent std| < delta of MSE, both estimates at least the smallest effect",
        "",
        latent_blind,
        smallest=f"{SMALLEST_DELTA} between two deltas: negligible below this (Romano et al., 2006)",
    ),
    Claim(
        "unseen_is_worse",
        SLUG,
        "section 1, figures 1 and 2; fairness paper, section 4",
        "The error follows representation: a group that was not trained on fares worse than under B.",
        "log ratio of mean MSE: of dark images under A over B, of light images under C over B",
        "both intervals are above 0, both estimates at least the smallest effect",
        "",
        unseen_is_worse,
        smallest=_RATIO,
    ),
    Claim(
        "dark_only_worse_for_all",
        SLUG,
        "section 5",
        "Training on dark skin only (C) is worse for all than training on both (B).",
        "log ratio of mean MSE, under C over B, by group",
        "both intervals are above 0, both estimates at least the smallest effect",
        "",
        dark_only_worse,
        smallest=_RATIO,
    ),
    Claim(
        "dark_only_worse_abroad",
        SLUG,
        "section 5",
        "Training on dark skin only (C) is worse than training on both (B) for all skin types of external data too.",
        "log ratio of mean MSE, under C over B, every external data set and skin type of 20 patients or more",
        "every interval is above 0, every estimate at least the smallest effect",
        "",
        dark_only_worse_abroad,
        smallest=_RATIO,
    ),
    Claim(
        "dark_worse_even_under_C",
        SLUG,
        "section 5",
        "Error and SLUG are higher for dark skin even when trained on dark skin only (C).",
        "log ratio of means, dark over light, of MSE and of SLUG",
        "both intervals are above 0, both estimates at least the smallest effect",
        "",
        dark_worse_everywhere,
        smallest=_RATIO,
    ),
    Claim(
        "slug_ranks_with_error",
        SLUG,
        "section 4, figure 4 left",
        "SLUG is strongly correlated with the error on B: by rank.",
        "Spearman correlation of SLUG and MSE over the test images",
        f"the interval is above {STRONG}",
        "",
        ranks,
    ),
    Claim(
        "slug_linear_with_error",
        SLUG,
        "section 4, figure 4 left",
        "SLUG is strongly correlated with the error on B: linearly.",
        "Pearson correlation of SLUG and MSE over the test images",
        f"the interval is above {STRONG}",
        "",
        linear,
    ),
    Claim(
        "slug_ranks_within_groups",
        SLUG,
        "section 4, figures 2 and 4",
        "The correlation remains within each skin tone group (B).",
        "Spearman correlation of SLUG and MSE within each group",
        f"both intervals are above {STRONG}",
        "",
        ranks_within,
    ),
    Claim(
        "slug_beats_latent_std",
        SLUG,
        "abstract, figure 2",
        "Unlike SLUG, the encoder's standard deviation is no strong indicator of the error (B).",
        "Spearman correlation with MSE: SLUG's less, and plus, that of the latent standard deviation; the latter's own",
        "the first two intervals are above 0, that is |latent std's| < SLUG's, both estimates at least the smallest "
        f"effect, and the last lies within ±{STRONG}",
        "",
        beats_latent,
        smallest=f"{SMALLEST_ADVANTAGE} between two correlations: about one pair of images in fifteen more in order",
    ),
    Claim(
        "slug_gap_has_sign_of_error",
        SLUG,
        "section 4, figure 2",
        "SLUG captures the bias: its gap between the groups has the sign of the error's in every configuration.",
        "log ratio of group means, dark over light, of SLUG and of MSE",
        "in every configuration both intervals exclude 0 on the same side, and SLUG's is at least its share",
        "",
        gap_signs,
        smallest=_SHARE,
    ),
    Claim(
        "slug_gaps_order_as_error",
        SLUG,
        "section 4, figure 2",
        "SLUG's gaps come in the order of the error's gaps over the configurations.",
        "differences between configurations of the log ratio of group means, of SLUG and of MSE",
        "for every pair of A, B, C both intervals exclude 0 on the same side, and SLUG's is at least its share",
        "",
        gap_order,
        smallest=_SHARE,
    ),
    Claim(
        "external_error_rises_with_fst",
        SLUG,
        "section 4, figure 3",
        "On external data the error is larger the darker the skin.",
        "Spearman correlation of FST and MSE, every skin type of 20 patients or more counted alike, every external "
        "data set and configuration",
        "every interval is above 0, every estimate at least the smallest effect",
        "",
        external_error,
        smallest=f"{SMALLEST_CORRELATION}: less than what Cohen (1988) calls a small correlation",
    ),
    Claim(
        "external_slug_follows_error",
        SLUG,
        "section 4, figure 3",
        "On external data SLUG goes with FST as the error does.",
        "Spearman correlation of FST with SLUG, and with MSE, every skin type of 20 patients or more counted alike",
        "in every data set and configuration both intervals exclude 0 on the same side, and SLUG's is at least its "
        "share",
        "",
        external_slug,
        smallest=_SHARE,
    ),
    Claim(
        "external_slug_ranks_with_error",
        SLUG,
        "section 5",
        "SLUG is strongly correlated with the error on external data too (B).",
        "Spearman correlation of SLUG and MSE, every external data set",
        f"every interval is above {STRONG}",
        "",
        external_ranks,
    ),
    Claim(
        "external_slug_ranks_within_fst",
        SLUG,
        "section 5",
        "On external data the correlation remains within each skin type (B).",
        "Spearman correlation of SLUG and MSE within every skin type of 20 patients or more, every external data set",
        f"every interval is above {STRONG}",
        "",
        external_ranks_within,
    ),
    Claim(
        "removal_lowers_error",
        SLUG,
        "section 4, figure 4 centre",
        "Removing the most uncertain images lowers the error of the rest again and again (B).",
        "change of the retained images' mean MSE, over that of all, as 100, 80, 60, 40, 20 % are kept; the same by the "
        "error itself",
        "the interval of each of the four steps is below 0, and SLUG's step is at least its share of the error's own",
        "",
        monotone,
        smallest=f"{CAPTURED:g} of what removal by the error itself does, the most that any score can do",
    ),
    Claim(
        "slug_map_finds_artefacts",
        SLUG,
        "section 4, figure 4 right",
        "SLUG maps highlight rulers, ink and patches.",
        "mean over images of the pixel AUROC of the SLUG map for a drawn artefact, by kind; the same less that of the "
        "SLUG map of the image without the artefact",
        f"every AUROC's interval is above {FINDS}, and every difference's above 0, the difference at least the "
        "smallest effect",
        "",
        finds_the_artefact,
        smallest=f"{SMALLEST_AUROC} between two AUROCs: one pair of pixels in twenty more in the right order",
    ),
    Claim(
        "error_map_misses_artefacts",
        SLUG,
        "section 4, figure 4 right",
        "The network reconstructs artefacts, so the error map cannot flag them.",
        "mean over images of the pixel AUROC of the error map for a drawn artefact, by kind",
        f"every interval is below {FINDS}",
        "",
        finds("error_map", below, KINDS),
    ),
    Claim(
        "slug_map_beats_error_map",
        SLUG,
        "section 4, figure 4 right",
        "SLUG maps highlight rulers, ink and patches where the error map is unable to.",
        "mean over images of the pixel AUROC of the SLUG map less that of the error map, for a drawn artefact, by kind",
        "every interval is above 0, every estimate at least the smallest effect",
        "",
        beats_the_error_map,
        smallest=f"{SMALLEST_AUROC} between two AUROCs: one pair of pixels in twenty more in the right order",
    ),
    Claim(
        "artefacts_are_reconstructed",
        SLUG,
        "section 4, figure 4 right",
        "The network reconstructs rulers, ink and patches well.",
        "mean log ratio of the error of the artefact's pixels to that of the same pixels without it, by kind",
        f"every interval is below log {WELL_RECONSTRUCTED:g}",
        "",
        reconstructed,
    ),
    Claim(
        "slug_map_tells_labelled_artefacts",
        SLUG,
        "section 4, figure 4 right",
        "SLUG maps highlight rulers, ink and patches in photographs that are labelled as having them (B).",
        "AUROC of the 99th percentile over the median of the SLUG map: photographs with the label against without",
        f"for every data set and label the interval is above {FINDS}",
        "",
        tells_labels("slug_map", above),
    ),
    Claim(
        "error_map_misses_labelled_artefacts",
        SLUG,
        "section 4, figure 4 right",
        "The error map cannot flag the rulers, ink and patches of photographs that are labelled as having them (B).",
        "AUROC of the 99th percentile over the median of the error map: photographs with the label against without",
        f"for every data set and label the interval is below {FINDS}",
        "",
        tells_labels("error_map", below),
    ),
    Claim(
        "lesion_between_artefact_and_skin",
        SLUG,
        "section 4, figure 4 right",
        "In B and C the lesion is uncertain too, but less than rulers, ink and patches. (B and C may be pictures of "
        "the paper's figure; they are read as configurations here.)",
        "mean log ratio of the SLUG map's level: artefact over lesion, lesion over the rest",
        "under B and under C both intervals are above 0, both estimates at least the smallest effect",
        "",
        between,
        smallest=_RATIO,
    ),
    Claim(
        "dark_images_more_complex",
        SLUG,
        "section 5",
        "Images of dark skin are more complex, which may be why they are harder (a hypothesis of the paper).",
        "log ratio of group means, dark over light, of the test images' total variation and compressed size",
        "both intervals are above 0, both estimates at least the smallest effect",
        "",
        complexity,
        fewest_seeds=0,
        smallest=_RATIO,
    ),
    Claim(
        "dark_images_vary_more",
        SLUG,
        "section 5",
        "Images of dark skin differ more from each other, so that their distribution is more complex (a hypothesis).",
        "log ratio, dark over light, of the trace of the covariance and of the effective dimension of the test images, "
        "in pixels and in plain features",
        "every interval is above 0, every estimate at least the smallest effect",
        "",
        varies,
        fewest_seeds=0,
        smallest=_RATIO,
    ),
)


def added_claims() -> tuple[Claim, ...]:
    """Claims that extensions add."""
    extensions.refuse_twice("claim", {claim.key for claim in CLAIMS}, extensions.CLAIMS)
    return tuple(Claim(**{"paper": "of one's own", "where": "", **added}) for added in extensions.CLAIMS.values())
