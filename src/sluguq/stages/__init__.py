"""The steps of the workflow that join stores and numerics: paths in, files out, no Snakemake."""
