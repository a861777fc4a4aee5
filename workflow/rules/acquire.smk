# Originals of every data set, and the weights of the perceptual network.


rule acquire:
    input:
        tables=source_files,
        code=adapter_code,
    output:
        images="data/raw/{dataset}/images.csv",
        missing="data/raw/{dataset}/missing.csv",
    log:
        "logs/acquire/{dataset}.log",
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=2880,
    params:
        options=lambda wildcards: EXPERIMENT.datasets[wildcards.dataset].model_dump(mode="json"),
    script:
        "../../scripts/acquire.py"


rule perceptual_weights:
    input:
        code=code("perceptual_weights.py"),
    output:
        "data/weights/{network}.pth",
    log:
        "logs/perceptual_weights/{network}.log",
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=120,
    script:
        "../../scripts/perceptual_weights.py"
