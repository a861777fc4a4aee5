"""Measure how the scores change with every setting that was varied."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import pandas as pd

from sluguq.analysis.sensitivity import read_scores, sensitivity_table
from sluguq.machine.jobs import job
from sluguq.stores.tables import write_table

with job(snakemake.log[0]):
    scores = {
        (str(name), int(seed)): read_scores(path)
        for (name, seed), path in zip(snakemake.params.models, snakemake.input.references, strict=True)
    }
    as_text = {"dtype": {"configuration": str, "id": str}, "keep_default_na": False, "na_values": [""]}
    varied = [pd.read_csv(path, **as_text) for path in snakemake.input.varied]
    for (setting, value, name, seed), path in zip(snakemake.params.variants, snakemake.input.variants, strict=True):
        own = {"setting": setting, "value": float(value), "configuration": str(name), "seed": int(seed)}
        varied.append(read_scores(path).assign(**own))
    table = sensitivity_table(
        scores, pd.concat(varied, ignore_index=True), snakemake.params.reference, snakemake.params.replicates
    )
    write_table(snakemake.output[0], table, sealed=False)
