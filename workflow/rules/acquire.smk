# Originals of every data set, and the weights of the perceptual network.


def source_files(wildcards):
    """The table of a local folder, so that an edit of it is noticed."""
    options = EXPERIMENT.datasets[wildcards.dataset]
    if options.source != "folder":
        return []
    table = options.folder / options.table
    return [str(table)] if table.is_file() else []


def adapter_code(wildcards):
    """Library files behind the acquisition: the adapter is imported by name, so it is added by hand."""
    adapter = LIBRARY / "datasets" / f"{EXPERIMENT.datasets[wildcards.dataset].source}.py"
    return sorted({*code("acquire.py"), str(adapter), *library_files(str(adapter))})


rule acquire:
    input:
        tables=source_files,
        code=adapter_code,
    output:
        images="data/raw/{dataset}/images.csv",
        missing="data/raw/{dataset}/missing.csv",
    params:
        options=lambda wildcards: EXPERIMENT.datasets[wildcards.dataset].model_dump(mode="json"),
    log:
        "logs/acquire/{dataset}.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=2880,
    conda:
        "../envs/images.yaml"
    script:
        "../../scripts/acquire.py"


rule perceptual_weights:
    input:
        code=code("perceptual_weights.py"),
    output:
        "data/weights/{network}.pth",
    log:
        "logs/perceptual_weights/{network}.log",
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    conda:
        "../envs/images.yaml"
    script:
        "../../scripts/perceptual_weights.py"
