# The door: `snakemake` in this folder runs the workflow that workflow/Snakefile describes.
include: "workflow/Snakefile"


workflow.default_target = "all"
