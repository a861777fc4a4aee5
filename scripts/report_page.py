"""Write the report that people read, and a card for the models of each configuration."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.report.writing import write_report_and_cards

with job(snakemake.log[0]):
    write_report_and_cards(
        snakemake.output.page,
        dict(zip(snakemake.params.configurations, snakemake.output.cards, strict=True)),
        datasets=dict(zip(snakemake.params.names, snakemake.input.datasets, strict=True)),
        claims=snakemake.input.claims,
        split_sizes=snakemake.input.split_sizes,
        tables=(*snakemake.input.tables, *snakemake.input.planning),
        figures=(*snakemake.input.figures, *snakemake.input.get("sensitivity", [])),
        datasheets=snakemake.input.datasheets,
        explore=snakemake.params.explore,
    )
