# Photographs decoded, made square and resampled, in one store a data set.


rule prepare:
    input:
        images="data/raw/{dataset}/images.csv",
        missing="data/raw/{dataset}/missing.csv",
        code=code("prepare.py"),
    output:
        store=directory("data/images/{dataset}-{size}px.zarr"),
        rejected="data/images/{dataset}-{size}px.rejected.csv",
    log:
        "logs/prepare/{dataset}-{size}px.log",
    conda:
        "../envs/images.yaml"
    threads: 8
    resources:
        mem_mb=memory(4000),
        runtime=240,
    params:
        fit=EXPERIMENT.images.fit,
        synthetic=lambda wildcards: is_synthetic(EXPERIMENT.datasets[wildcards.dataset]),
    script:
        "../../scripts/prepare.py"
