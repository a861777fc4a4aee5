"""Draw artefacts on some test images of one seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.stages.artefacts import draw_artefacts

with job(snakemake.log[0]):
    draw_artefacts(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.output[0],
        seed=int(snakemake.wildcards.seed),
        groups=snakemake.params.groups,
        per_group=snakemake.params.per_group,
        kinds=snakemake.params.kinds,
    )
