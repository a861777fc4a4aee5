# Originals of every data set, and the weights of the perceptual network.


rule acquire:
    input:
        tables=source_files,
    output:
        # What was there stays until the new is whole, and comes back where the job fails.
        images=update(acquired_images("{dataset}")),
        missing=update(missing_images("{dataset}")),
    log:
        "logs/acquire/{dataset}.log",
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=2880,
    params:
        code=adapter_code,
        options=lambda wildcards: EXPERIMENT.datasets[wildcards.dataset].model_dump(mode="json"),
    script:
        "../../scripts/acquire.py"


rule perceptual_weights:
    output:
        perceptual_weights("{network}"),
    log:
        "logs/perceptual_weights/{network}.log",
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=120,
    params:
        code=code("perceptual_weights.py"),
    script:
        "../../scripts/perceptual_weights.py"
