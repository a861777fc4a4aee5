"""The datasheet of one prepared data set: counts, losses, licence, labels, and a look at the images.

One HTML page that needs no other file. After Gebru et al., Datasheets for datasets (Communications of the ACM
64(12), 2021), as far as a program can know the answers.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure
from scipy import stats

from sluguq.analysis.aggregated import FITZPATRICK, Scale
from sluguq.datasets.availability import availability
from sluguq.datasets.contradictions import contradictions
from sluguq.datasets.registry import Entry
from sluguq.datasets.units import TIES, named, tying_labels
from sluguq.figures.distribution import fst_distribution
from sluguq.figures.style import figure as new_figure
from sluguq.figures.style import finish, styled
from sluguq.images.masks import are_outlines, covers_border
from sluguq.machine.streams import plain_stream, stream
from sluguq.stores.files import whole_file
from sluguq.stores.store import open_store
from sluguq.stores.tables import read_images, read_missing, read_rejected

_RESAMPLES = 9999
_TALLEST_SHEET = 8
_COMMONEST = 5
_MASKS_SHOWN = 40
_BLOCK = 512
_MOST_CONTRADICTIONS = 200


def _types(found: Iterable[Any]) -> list[int]:
    """Fitzpatrick's types and whatever others there are, from light to dark, then -1."""
    return [*sorted({*(int(t) for t in found if t > 0), *range(1, 7)}), -1]


def availability_by_fst(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts of every skin type and what share of it can be used.

    :param rows: one row per image of the label table with fst and state, from :func:`.availability.availability`.
    :returns: columns fst (1 to 6, -1, and ``all``), listed, available, rejected, missing, share (available of listed),
        and low and high, its 95 % Wilson interval. The share of nothing is NaN.
    """
    counts = pd.crosstab(rows["fst"], rows["state"])
    counts = counts.reindex(index=_types(counts.index), columns=["available", "rejected", "missing"], fill_value=0)
    counts.loc["all"] = counts.sum()
    counts.insert(0, "listed", counts.sum(axis=1))
    for name in ("share", "low", "high"):
        counts[name] = np.nan
    for fst, row in counts.iterrows():
        if row["listed"]:
            test = stats.binomtest(int(row["available"]), int(row["listed"]))
            interval = test.proportion_ci(method="wilson")
            counts.loc[fst, ["share", "low", "high"]] = test.statistic, interval.low, interval.high
    counts.columns.name = None
    return counts.rename_axis("fst").reset_index()


def losses_by_reason(missing: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """Lost images by kind of reason and skin type.

    :param missing: rows of missing.csv.
    :param rejected: rows of rejected.csv.
    :returns: columns stage (``acquired`` or ``decoded``: where it was lost), reason, one a skin type, and all; the most
        frequent reason first.
    """
    parts = [missing.assign(stage="acquired"), rejected.assign(stage="decoded")]
    losses = pd.concat(
        [part[["stage", "reason", "fst"]] for part in parts if len(part)] or [parts[0][["stage", "reason", "fst"]]]
    )
    losses["reason"] = losses["reason"].map(kind_of_reason)
    table = pd.crosstab([losses["stage"], losses["reason"]], losses["fst"])
    table = table.reindex(columns=_types(table.columns), fill_value=0)
    table["all"] = table.sum(axis=1)
    table.columns.name = None
    return table.sort_values("all", ascending=False, kind="stable").reset_index()


def kind_of_reason(reason: str) -> str:
    """A reason without what is particular to one image: names, numbers, checksums.

    :param reason: from the tables of missing and rejected images.
    """
    kind = re.sub(r"^(row \d+ of .+?|case \S+|subject \S+|column \S+): ", "", reason)
    kind = re.sub(r"(the folder has|leads out of the folder, to) .*?: ", r"\1 …: ", kind)
    kind = re.sub(r"(has FST) \d here, but FST \d in .*", r"\1 … here, but another in another row", kind)
    kind = re.sub(r" \(\d+ attempts\)$", "", kind)
    kind = re.sub(r"'[^']*'", "…", kind)
    kind = re.sub(
        r"(keeps failing|wrong checksum|cannot be decoded|broken|no connection|fits \d+ files)\b.*", r"\1", kind
    )
    kind = re.sub(r"\d+ x \d+|\d+ of \d+ bytes", "…", kind)
    return re.sub(r"\([^)]*\)", "", kind).strip()


def dependence_on_fst(rows: pd.DataFrame) -> float:
    """How likely losses are to fall on the labelled skin types as unevenly as they do, were all alike.

    A chi-squared test of usable and lost images against the skin types 1 to 6, by Monte Carlo (9,999 tables, seed
    0), as counts may be small.

    :param rows: from :func:`sluguq.datasets.availability.availability`.
    :returns: the p-value; NaN where nothing or everything was lost, or only one skin type is there.
    """
    typed_rows = rows[rows["fst"] > 0]
    table = pd.crosstab(typed_rows["fst"], typed_rows["state"] == "available").to_numpy()
    if table.ndim != 2 or min(table.shape) < 2:
        return float("nan")
    method = stats.MonteCarloMethod(n_resamples=_RESAMPLES, rng=plain_stream())
    return float(stats.chi2_contingency(table, correction=False, method=method).pvalue)


def contact_sheet(store: xr.Dataset, *, per_fst: int = 10, seed: int = 0, scale: Scale = FITZPATRICK) -> Figure:
    """Random images of every skin type, one line per type.

    :param store: an image store.
    :param per_fst: largest number of images of each skin type.
    :param seed: seed of the choice.
    :param scale: of the skin types.
    """
    fst = store["fst"].values.astype(int)
    there = [value for value in _types(fst) if (fst == value).any()]
    # A data set without skin types fills the sheet with what it has.
    lines = {value: 1 if len(there) > 1 else _TALLEST_SHEET // 2 for value in there}
    cell = 0.62
    with styled():
        fig = new_figure(width=0.9 + cell * per_fst, height=0.75 + cell * sum(lines.values()))
        axes = fig.subplots(sum(lines.values()), per_fst, squeeze=False)
        line = 0
        for value in there:
            rng = stream(seed, value + 1)
            members = np.flatnonzero(fst == value)
            rows = np.sort(rng.choice(members, min(len(members), per_fst * lines[value]), replace=False))
            places = axes[line : line + lines[value]].ravel()
            for place in places:
                place.set_axis_off()
            for place, index in zip(places, rows, strict=False):
                place.imshow(store["pixels"].isel(image=int(index)).values)
            name = f"no {scale.name}" if value < 1 else f"{scale.name} {value}"
            places[0].text(
                -0.12, 0.5, f"{name}\nn = {len(members):,}", transform=places[0].transAxes, ha="right", va="center"
            )
            line += lines[value]
        return finish(fig, f"Random images by {scale.title}", f"Chosen with seed {seed}.", store)


def write_datasheet(
    path: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str],
    images: str | os.PathLike[str],
    missing: str | os.PathLike[str],
    rejected: str | os.PathLike[str],
    name: str,
    entry: Entry | None = None,
    seed: int = 0,
    scale: Scale = FITZPATRICK,
) -> str:
    """Write the datasheet of one prepared data set.

    :param path: the HTML page to write.
    :param store: the image store.
    :param images: images.csv of the raw folder.
    :param missing: missing.csv of the raw folder.
    :param rejected: the table of rejected files beside the store.
    :param name: what the data set is called in the configuration.
    :param entry: what the registry says, for a published data set.
    :param seed: seed of the contact sheet.
    :param scale: of the skin types.
    :returns: what a person at a terminal is told: usable images by skin type, and what was lost and why.
    """
    dataset = open_store(store)
    misses, undecoded = read_missing(missing), read_rejected(rejected)
    rows = availability(read_images(images), misses, undecoded)
    counts = availability_by_fst(rows)
    losses = losses_by_reason(misses, undecoded)
    with styled():
        distribution, _ = fst_distribution(rows, dataset, scale)
    page = _template().render(
        title=f"Datasheet: {name}",
        synthetic=bool(dataset.attrs.get("synthetic", 0)),
        entry=entry,
        availability=_html(_readable(counts)),
        verdict=_verdict(rows),
        figure=_svg(distribution),
        losses=_html(losses.rename(columns={-1: "no FST"})) if len(losses) else "",
        relations=_relations(dataset),
        contradictions=_contradictions(dataset),
        masks=_masks(dataset),
        mask_sheet=_mask_sheet(dataset, seed),
        labels=_labels(dataset),
        scale=scale,
        preparation=_preparation(dataset),
        sheet=base64.b64encode(_png(contact_sheet(dataset, seed=seed, scale=scale))).decode(),
        sheet_note=f"Images drawn at random with seed {seed}, up to ten of each skin type.",
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return _counted(name, counts, losses, scale)


def _counted(name: str, counts: pd.DataFrame, losses: pd.DataFrame, scale: Scale) -> str:
    there = counts.set_index("fst")
    types = ", ".join(f"{fst}: {there['available'][fst]:,}" for fst in there.index if fst not in (-1, "all"))
    usable, listed = there.loc["all", ["available", "listed"]].astype(int)
    lines = [
        f"{name}: {usable:,} of {listed:,} images can be used; by {scale.name}: {types}, "
        f"without: {there['available'][-1]:,}"
    ]
    lines += [f"  {count:,} lost: {reason}" for reason, count in zip(losses["reason"], losses["all"], strict=True)]
    return "\n".join(lines)


def _template() -> jinja2.Template:
    text = resources.files("sluguq").joinpath("report/datasheet.html.j2").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)


def _html(table: pd.DataFrame) -> str:
    return Markup(table.to_html(index=False, border=0, justify="unset", na_rep="–"))


def _readable(counts: pd.DataFrame) -> pd.DataFrame:
    percent = {name: counts[name].map("{:.1%}".format) for name in ("share", "low", "high")}
    interval = percent["low"] + " to " + percent["high"]
    columns = counts[["fst", "listed", "available", "rejected", "missing"]].assign(
        usable=percent["share"].where(counts["listed"] > 0, "–"),
        **{"95 % interval": interval.where(counts["listed"] > 0, "–")},
    )
    return columns.replace({"fst": {-1: "no FST"}})


def _verdict(rows: pd.DataFrame) -> str:
    p = dependence_on_fst(rows)
    if np.isnan(p):
        return "Losses do not differ between skin types: none of the labelled images, or all of them, were lost."
    differ = "differ" if p < 0.05 else "are not shown to differ"
    return (
        f"Losses {differ} between skin types 1 to 6 (chi-squared test by {_RESAMPLES:,} Monte Carlo tables, p = "
        f"{max(p, 1 / (_RESAMPLES + 1)):.4f})."
    )


def _relations(store: xr.Dataset) -> str:
    ties = tying_labels({name: store[name].values for name in TIES})
    parts = [f"{store.sizes['image']:,} images"]
    for name, noun in (("patient", "patients"), ("lesion", "lesions")):
        keys = ties[name][named(ties[name])]
        distinct = len(set(keys.tolist()))
        parts.append(f"{distinct:,} {noun} known for {len(keys):,} of them" if distinct else f"no {noun} known")
    groups = store["duplicate_group"].values
    in_groups = groups[groups >= 0]
    parts.append(
        f"{len(in_groups):,} images in {len(set(in_groups.tolist())):,} groups of exact or near-duplicates "
        f"({store['duplicate_group'].attrs['source']})"
        if len(in_groups)
        else "no duplicates found"
    )
    return "; ".join(parts) + ". A split never parts what belongs together."


def _contradictions(store: xr.Dataset) -> str:
    """A table of photographs and patients with two skin types; empty where there is none."""
    names = [name for name in ("id", "fst", "sha256", "duplicate_group", "patient") if name in store.variables]
    rows = contradictions({name: store[name].values for name in names})
    if rows.empty:
        return ""
    first = rows.drop(columns="groups").head(_MOST_CONTRADICTIONS)
    more = len(rows) - len(first)
    return _html(first) + Markup(f"<p>and {more:,} more.</p>" if more else "")


def _masks(store: xr.Dataset) -> str:
    """How many images have a lesion mask, and which masks are empty, full, or hardly what is meant."""
    if "lesion_mask" not in store:
        return ""
    rows = np.flatnonzero(store["has_lesion_mask"].values)
    shares, covering, outlined = (np.empty(len(rows), kind) for kind in (float, bool, bool))
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        masks = store["lesion_mask"].isel(image=rows[block]).values
        shares[block], covering[block], outlined[block] = masks.mean((1, 2)), covers_border(masks), are_outlines(masks)
    ids = store["id"].values.astype(str)[rows]
    sentence = f"{len(rows):,} of {store.sizes['image']:,} images have a lesion mask"
    if len(rows):
        sentence += f"; it covers {np.median(shares):.0%} of the square (median)"
    kinds = {
        "empty": shares == 0,
        "full": shares == 1,
        "perhaps inverted, as they cover the border and not what is within": covering,
        "perhaps outlines that were not filled": outlined,
    }
    for what, cases in kinds.items():
        if cases.any():
            names = ", ".join(ids[cases][:_COMMONEST])
            sentence += f". {cases.sum():,} masks are {what} ({names}{', ...' if cases.sum() > _COMMONEST else ''})"
    return sentence + "."


def _mask_sheet(store: xr.Dataset, seed: int) -> str:
    """A contact sheet of masks over their photographs, as base64; empty where there is no mask."""
    if "lesion_mask" not in store or not store["has_lesion_mask"].values.any():
        return ""
    rows = np.flatnonzero(store["has_lesion_mask"].values)
    rng = stream(seed, "masks")
    sample = np.sort(rng.choice(rows, min(len(rows), _MASKS_SHOWN), replace=False))
    columns = min(len(sample), 10)
    lines = -(-len(sample) // columns)
    with styled():
        fig = new_figure(width=0.3 + 0.62 * columns, height=0.75 + 0.62 * lines)
        for place in (places := fig.subplots(lines, columns, squeeze=False).ravel()):
            place.set_axis_off()
        for place, index in zip(places, sample, strict=False):
            place.imshow(store["pixels"].isel(image=int(index)).values)
            mask = store["lesion_mask"].isel(image=int(index)).values
            if 0 < mask.mean() < 1:
                for colour, width in (("white", 1.6), ("black", 0.7)):
                    place.contour(mask, levels=[0.5], colors=colour, linewidths=width)
        fig = finish(fig, "Lesion masks over their photographs", f"Outlines; chosen with seed {seed}.", store)
    return base64.b64encode(_png(fig)).decode()


def _labels(store: xr.Dataset) -> str:
    rows = []
    for name in sorted(str(name) for name in store.variables if str(name).startswith("label_")):
        values = pd.Series(store[name].values.tolist())
        numeric = pd.api.types.is_numeric_dtype(values)
        levels = values.dropna() if numeric else values[values != ""]
        counts = levels.value_counts()
        if numeric and len(counts) > _COMMONEST:
            what = f"{levels.min():g} to {levels.max():g}, median {levels.median():g}"
        else:
            what = ", ".join(f"{value} ({count:,})" for value, count in counts.head(_COMMONEST).items())
        label = name.removeprefix("label_").replace("_", " ")
        rows.append({"label": label, "known": len(levels), "values": len(counts), "commonest": what})
    return _html(pd.DataFrame(rows)) if rows else ""


def _preparation(store: xr.Dataset) -> str:
    size = store.sizes["y"]
    masks = int(store["has_lesion_mask"].values.sum()) if "has_lesion_mask" in store else 0
    return (
        f"{size} x {size} pixels, sRGB; {store.attrs['fit']}; {store.attrs['filter']} filter; JPEG decoded to no less "
        f"than {store.attrs['jpeg_draft_margin']} times that size; lesion masks for {masks:,} images. "
        f"Code: {store.attrs['commit']}."
    )


def _svg(fig: Figure) -> str:
    out = io.StringIO()
    with styled():
        fig.savefig(out, format="svg", metadata={"Date": None})
    # The page is HTML: what stands before the drawing itself has no place in it.
    return Markup(out.getvalue()[out.getvalue().index("<svg") :])


def _png(fig: Figure) -> bytes:
    out = io.BytesIO()
    with styled():
        fig.savefig(out, format="png", dpi=130, metadata={"Software": None})
    return out.getvalue()
