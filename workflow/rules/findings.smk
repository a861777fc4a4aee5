# What the experiment found, as one page without photographs: asked for by name.
rule findings:
    input:
        claims=CLAIMS,
        datasets=[PATHS.aggregated(dataset) for dataset in AGGREGATED],
        tables=TABLE_FILES,
        figures=FIGURE_FILES,
        robustness=ROBUSTNESS,
    output:
        PATHS.findings(),
    log:
        f"logs/{EXPERIMENT.experiment}/findings.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/findings.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        code=code("findings.py"),
        experiment=lambda wildcards, input: str(Path(input.claims).parent),
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        paper=PAPER,
        configfile=CONFIGFILES,
    script:
        "../../scripts/findings.py"
