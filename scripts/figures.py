"""Draw every figure of one store, with the numbers behind it."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import json
from pathlib import Path

import pandas as pd

from sluguq.analysis.tables import read_table
from sluguq.datasets.availability import availability_of
from sluguq.figures.drawing import draw, save
from sluguq.machine.jobs import job
from sluguq.stores.provenance import commit
from sluguq.stores.store import open_store

with job(snakemake.log[0]):
    given = {}
    for key in ("dataset", "models"):
        if snakemake.input.get(key):
            given[key] = open_store(snakemake.input[key])
    tables = {Path(path).stem: read_table(path) for path in snakemake.input.get("tables", [])}
    if snakemake.input.get("sensitivity"):
        given["sensitivity"] = pd.read_csv(
            snakemake.input.sensitivity, dtype={"configuration": str}, keep_default_na=False, na_values=[""]
        )
    if snakemake.input.get("images"):
        given["labels"] = availability_of(*(snakemake.input[name] for name in ("images", "missing", "rejected")))
    key = "dataset" if "dataset" in given else "models"
    kept = ("experiment", "dataset", "synthetic", "configuration", "versions", "commit")
    attributes = {name: given[key].attrs[name] for name in kept if name in given[key].attrs}
    origin = json.dumps({"store": snakemake.input[key], "figure commit": commit(), **attributes})
    folder = Path(snakemake.output[0]).parent
    for name in snakemake.params.names:
        figure, table = draw(name, tables=tables, **given)
        save(figure, table, folder, name, origin=origin)
