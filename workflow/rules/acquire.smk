# Originals of every data set, and the weights of the perceptual network.


rule acquire:
    output:
        # What was there stays until the new is whole, and comes back where the job fails.
        images=kept(acquired_images("{dataset}")),
        missing=kept(missing_images("{dataset}")),
    log:
        "logs/acquire/{dataset}.log",
    benchmark:
        "logs/acquire/{dataset}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=2880,
    params:
        code=adapter_code,
        content=sources_read,
        # One that failed is tried again, although what was there before it is there still.
        failures=failures_of_acquisition,
        options=lambda wildcards: settled(EXPERIMENT.datasets[wildcards.dataset]),
    script:
        "../../scripts/acquire.py"


rule perceptual_weights:
    output:
        perceptual_weights("{network}"),
    log:
        "logs/perceptual_weights/{network}.log",
    benchmark:
        "logs/perceptual_weights/{network}.tsv"
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
