# Photographs decoded, made square and resampled, in one store a data set.


rule prepare:
    input:
        images=acquired_images("{dataset}"),
        missing=missing_images("{dataset}"),
    output:
        store=directory(image_store("{dataset}", "{size}")),
        rejected=rejected_images("{dataset}", "{size}"),
    log:
        "logs/prepare/{dataset}-{size}px.log",
    benchmark:
        "logs/prepare/{dataset}-{size}px.tsv"
    conda:
        "../envs/images.yaml"
    threads: 8
    resources:
        mem_mb=memory(4000),
        runtime=240,
    params:
        code=code("prepare.py"),
        content=sources_read,
        fit=EXPERIMENT.images.fit,
        max_pixels=int(EXPERIMENT.images.max_megapixels * 1e6),
        synthetic=lambda wildcards: is_synthetic(EXPERIMENT.datasets[wildcards.dataset]),
    script:
        "../../scripts/prepare.py"
