"""From a look at a folder to a configuration that runs, sized to what is there, with a comment on every choice."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from sluguq.datasets.inspection import Inspection
from sluguq.datasets.splits import SplitError, make_split

_LIGHT = ((1, 2), (1, 2, 3))
_DARK = ((5, 6), (4, 5, 6), (3, 4, 5, 6))
_ENOUGH = 24
_LARGEST_TEST, _LARGEST_TRAINING = 512, 1668
_SEEDS = 2


def proposed_configuration(found: Inspection, name: str, start: Path) -> str:
    """The text of a configuration for a folder.

    :param found: what the folder holds.
    :param name: name of the experiment.
    :param start: the folder in which the workflow is started; paths within it are written relative to it.
    """
    groups, train, test = _sizes(found)
    size = 64 if found.short_side >= 64 else 32
    yaml = [
        f"# Written by `sluguq init` after a look at {_plain(found.folder)}.",
        "# Check it, above all the columns and the groups.",
        "# config/README.md lists every key with its default.",
        f"experiment: {name}",
        "",
        "datasets:",
        f"  {_dataset(name)}:",
        *(f"    {line}" for line in _source(found, start)),
    ]
    if groups:
        yaml += _training(name, found, groups)
    else:
        yaml += _scored_only(name)
        groups, train, test = {"light": (1, 2), "dark": (5, 6)}, 96, 24
    batch = min(16, train)
    yaml += [
        "",
        f"images: {{size: {size}}}  # the shorter side of your pictures is {found.short_side} pixels (median)",
        "# Training images of every configuration, test images of every group; fewer where some turn out unusable.",
        f"split: {{train_images: {train}, test_images: {test}, shortage: fewer}}",
        f"model: {{width: {8 if train < 1000 else 16}, depth: 4, latent_channels: 32}}",
        "training:",
        f"  epochs: {max(20, min(100, 6000 // train))}",
        f"  batch_size: {batch}",
        "  learning_rate: 1.0e-3",
        "  # With so few steps, a full weight would leave the latent variable unused and every reconstruction plain.",
        "  kl_weight: 0.01",
        "  flip: true",
        "  # Random features stand in for ImageNet's, which would have to be downloaded (weights: imagenet).",
        "  perceptual: {network: squeezenet1_1, weights: random}",
        f"eigenbasis: {{rank: {min(16, train)}, tolerance: 0.01}}",
        "score: {probes: 48}",
        f"artefacts: {{images: {min(5, test)}}}",
        "resources: {gpu: false}  # true where there is an NVIDIA card",
        "",
    ]
    return "\n".join(yaml)


def told(found: Inspection) -> list[str]:
    """What was found, in words, a line each."""
    lines = [f"{_files(found.pictures)} in {_plain(found.folder)}"]
    table = found.table
    kind = f"separated by {table.separator!r}, encoded as {table.encoding}" if table.separator else "no plain text"
    lines.append(f"table {_plain(table.path.name)}: {_rows(len(table.rows))}, {kind}")
    lines += [f"  {what}: column {column!r}" for what, column in found.columns.items()]
    lines += [f"  labels: columns {', '.join(map(repr, found.labels))}"] if found.labels else []
    if found.more_labels:
        lines.append(f"  add under labels what you need of {', '.join(map(repr, found.more_labels))}")
    lines += [f"  row {line}: {reason}" for line, reason in table.refused[:5]]
    if "fst" in found.columns:
        counts = ", ".join(f"{fst}: {found.fst_counts[fst]:,}" for fst in range(1, 7))
        lines.append(f"images by FST: {counts}; without: {found.fst_counts[-1]:,}")
    else:
        lines.append("no column of skin types: networks will learn from drawn photographs, and yours be scored by them")
    if found.not_read:
        values = ", ".join(f"{value!r} ({count:,})" for value, count in found.not_read.most_common(5))
        lines.append(f"values that are no skin type: {values}; say under fst_values what they mean")
    patients = {patient for _, patient, _ in found.rows if patient}
    if patients:
        lines.append(f"{len(patients):,} patients")
    if found.without_row:
        lines.append(f"{_files(found.without_row)} without a row")
    if found.without_file:
        lines.append(f"{_rows(found.without_file)} without a file")
    lines.append(f"shorter side of the pictures: {found.short_side} pixels (median)")
    return lines + [f"passed over: {remark}" for remark in found.remarks]


def name_for(folder: Path) -> str:
    """A name of an experiment after that of a folder."""
    bare = re.sub(r"[^A-Za-z0-9]+", "-", folder.expanduser().resolve().name).strip("-").lower()
    return bare[:40].strip("-") or "own-data"


def _dataset(name: str) -> str:
    """A name of the data set that no folder of results has."""
    return f"{name}-photographs"


def _plain(path: str | os.PathLike[str]) -> str:
    """A path for a comment: what could end the line, or is no text, is shown as a code."""
    return json.dumps(os.fsencode(path).decode("utf-8", "backslashreplace"), ensure_ascii=False)[1:-1]


def _quoted(text: str | os.PathLike[str]) -> str:
    """Text as YAML takes it, whatever is in it: letters as they are, what cannot be seen as codes."""
    return f'"{"".join(map(_sign, os.fspath(text)))}"'


def _sign(sign: str) -> str:
    # Signs beyond 16 bits are one code in YAML, and two in JSON.
    if sign.isprintable() and sign <= "\uffff":
        return json.dumps(sign, ensure_ascii=False)[1:-1]
    return json.dumps(sign)[1:-1] if sign <= "\uffff" else f"\\U{ord(sign):08X}"


def _files(count: int) -> str:
    return f"{count:,} picture file{'' if count == 1 else 's'}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _source(found: Inspection, start: Path) -> list[str]:
    folder = found.folder.resolve()
    shown = folder.relative_to(start.resolve()) if folder.is_relative_to(start.resolve()) else folder
    lines = ["source: folder", f"folder: {_quoted(shown)}"]
    table = found.table
    path = table.path.resolve()
    lines.append(f"table: {_quoted(path.relative_to(folder) if path.is_relative_to(folder) else path)}")
    if table.separator:
        lines.append(f"separator: {_quoted(table.separator)}")
    if table.encoding and table.encoding not in ("utf-8-sig", "utf-8"):
        lines.append(f"encoding: {_quoted(table.encoding)}")
    comments = {
        "file": "path of the image, relative to the folder",
        "fst": "Fitzpatrick skin type, 1 to 6; empty where unknown",
        "id": "unique name of the image",
        "patient": "images of one patient never stand on both sides of a split",
        "lesion": "nor those of one lesion",
        "mask": "path of the lesion mask",
    }
    lines.append("columns:")
    for what, comment in comments.items():
        if what in found.columns:
            lines.append(f"  {what}: {_quoted(found.columns[what])}  # {comment}")
        elif what == "fst":
            lines.append("  fst: null  # no column of skin types was found")
    if found.labels:
        lines.append(f"  labels: [{', '.join(map(_quoted, found.labels))}]  # carried along")
    if found.not_read:
        lines.append("# Values that are no skin type; give those that mean one, 1 to 6 (-1: none), and uncomment:")
        lines.append("# fst_values:")
        lines += [f"#   {_quoted(value)}: -1  # {_rows(count)}" for value, count in found.not_read.most_common(12)]
    return lines


def _training(name: str, found: Inspection, groups: dict[str, tuple[int, ...]]) -> list[str]:
    counted = "; ".join(
        f"{group}: {' + '.join(str(found.fst_counts[fst]) for fst in types)}" for group, types in groups.items()
    )
    written = ", ".join(f"{group}: [{', '.join(map(str, types))}]" for group, types in groups.items())
    if len(groups) == 1:
        mixes = f"{{A: {{{next(iter(groups))}: 1.0}}}}"
    else:
        mixes = "{A: {light: 1.0}, B: {light: 0.5, dark: 0.5}, C: {dark: 1.0}}"
    return [
        f"training_dataset: {_dataset(name)}",
        "",
        f"# Images of each skin type: {counted}.",
        f"groups: {{{written}}}",
        "# Shares of the groups in the training images of each configuration.",
        f"configurations: {mixes}",
        f"seeds: {_SEEDS}  # independent repetitions; ten for intervals that say something",
    ]


def _scored_only(name: str) -> list[str]:
    return [
        "  # Too few of your images have a skin type to train on, so networks learn from drawn photographs and",
        "  # yours are scored by them. Name a column of skin types above to train on yours.",
        "  phantom: {source: phantom, counts: {1: 80, 2: 80, 5: 80, 6: 80}, size: 96}",
        "training_dataset: phantom",
        f"external_datasets: [{_dataset(name)}]",
        "",
        "groups: {light: [1, 2], dark: [5, 6]}",
        "configurations: {A: {light: 1.0}, B: {light: 0.5, dark: 0.5}, C: {dark: 1.0}}",
        f"seeds: {_SEEDS}",
    ]


def _sizes(found: Inspection) -> tuple[dict[str, tuple[int, ...]], int, int]:
    """Groups, training images of a configuration and test images of a group that the images suffice for."""
    groups = _groups(found.fst_counts)
    smallest = min((_count(found.fst_counts, types) for types in groups.values()), default=0)
    test = min(_LARGEST_TEST, smallest // 3)
    train = min(_LARGEST_TRAINING, smallest - test)
    while test >= 2 and train >= 4:
        if _can_be_split(found, groups, train, test):
            return groups, train, test
        # Images that share a patient or a lesion with a test image are lost to training.
        train = int(train * 0.9)
    return {}, 0, 0


def _groups(counts: Counter[int]) -> dict[str, tuple[int, ...]]:
    """Two groups with images enough, as narrow as can be; one of all types where the other would be empty."""
    pairs = [(light, dark) for dark in _DARK for light in _LIGHT if not set(light) & set(dark)]

    def smaller(pair: tuple[tuple[int, ...], tuple[int, ...]]) -> int:
        return min(_count(counts, pair[0]), _count(counts, pair[1]))

    light, dark = next((pair for pair in pairs if smaller(pair) >= _ENOUGH), max(pairs, key=smaller))
    if smaller((light, dark)) >= 6:
        return {"light": light, "dark": dark}
    return {"all": (1, 2, 3, 4, 5, 6)} if _count(counts, range(1, 7)) >= 6 else {}


def _count(counts: Counter[int], types: tuple[int, ...] | range) -> int:
    return sum(counts[fst] for fst in types)


def _can_be_split(found: Inspection, groups: dict[str, tuple[int, ...]], train: int, test: int) -> bool:
    rows = [(f"{number:08}", *row) for number, row in enumerate(found.rows)]
    table = pd.DataFrame(rows, columns=["id", "fst", "patient", "lesion"])
    mixes = {group: {group: 1.0} for group in groups}
    try:
        for seed in range(_SEEDS):
            make_split(table, groups, mixes, seed=seed, train_images=train, test_images=test)
    except SplitError:
        return False
    return True
