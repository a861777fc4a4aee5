"""Draw every figure of one store, with the numbers behind it."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot as plt

from sluguq.figures import draw, save
from sluguq.running import job
from sluguq.store import open_store
from sluguq.tables import availability

with job(snakemake.log[0]):
    given = {}
    for key in ("dataset", "models"):
        if snakemake.input.get(key):
            given[key] = open_store(snakemake.input[key])
    if snakemake.input.get("images"):
        tables = (pd.read_csv(snakemake.input[name]) for name in ("images", "missing", "rejected"))
        given["labels"] = availability(*tables)
    folder = Path(snakemake.output[0]).parent
    for name in snakemake.params.captions:
        figure, table = draw(name, **given)
        save(figure, table, folder, name)
        plt.close(figure)
