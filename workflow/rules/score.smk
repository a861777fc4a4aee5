# SLUG, errors and maps of every image by every model; where several jobs share a data set, each scores some blocks of
# images first, and the rule `score` gathers them.
PARTS = EXPERIMENT.resources.score_parts


SCORED_WITH = {
    "code": network_code("score.py"),
    "split": lambda wildcards: roles() if wildcards.dataset == EXPERIMENT.training_dataset else {},
    "score": lambda wildcards: EXPERIMENT.score_settings(wildcards.dataset),
    "sample": sample_of,
}

_split_scored = read_split(PATHS.split("{seed}"), PATHS.scores("{configuration}", "{seed}", "{dataset}"), SCORED_WITH)


# The split, where it tells which images are scored; jobs that share a data set run again where its scores do.
split_scored = lambda wildcards: (
    [_split_scored(wildcards)] if wildcards.dataset == EXPERIMENT.training_dataset else []
)


rule score:
    input:
        images=pixels_scored,
        split=split_scored,
        held_out=lambda wildcards: HELD_OUT if wildcards.dataset == EXPERIMENT.training_dataset else [],
        weights=PATHS.weights("{configuration}", "{seed}"),
        basis=PATHS.eigenbasis("{configuration}", "{seed}"),
        parts=score_parts,
    output:
        directory(PATHS.scores("{configuration}", "{seed}", "{dataset}")),
    log:
        f"logs/{EXPERIMENT.experiment}/score/{{configuration}}-seed-{{seed}}-{{dataset}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/score/{{configuration}}-seed-{{seed}}-{{dataset}}.tsv"
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        **SCORED_WITH,
    script:
        "../../scripts/score.py"


use rule score as score_part with:
    input:
        images=pixels_scored,
        split=split_scored,
        held_out=lambda wildcards: HELD_OUT if wildcards.dataset == EXPERIMENT.training_dataset else [],
        weights=PATHS.weights("{configuration}", "{seed}"),
        basis=PATHS.eigenbasis("{configuration}", "{seed}"),
    output:
        temp(directory(PATHS.score_part("{configuration}", "{seed}", "{dataset}", "{part}", "{parts}"))),
    log:
        f"logs/{EXPERIMENT.experiment}/score/{{configuration}}-seed-{{seed}}-{{dataset}}-{{part}}-of-{{parts}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/score/{{configuration}}-seed-{{seed}}-{{dataset}}-{{part}}-of-{{parts}}.tsv"
    wildcard_constraints:
        part=r"\d+",
        parts=r"\d+",


RIVALS_WITH = {
    "code": network_code("rivals.py"),
    "split": lambda wildcards: roles(),
    "rivals": EXPERIMENT.model_dump(mode="json")["score"]["rivals"],
    "eigenbasis": eigenbasis_settings(),
    "score": EXPERIMENT.score_settings(EXPERIMENT.training_dataset),
}


rule rivals:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=read_split(PATHS.split("{seed}"), PATHS.rivals("{configuration}", "{seed}"), RIVALS_WITH),
        held_out=HELD_OUT,
        weights=PATHS.weights("{configuration}", "{seed}"),
    output:
        PATHS.rivals("{configuration}", "{seed}"),
    log:
        f"logs/{EXPERIMENT.experiment}/rivals/{{configuration}}-seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/rivals/{{configuration}}-seed-{{seed}}.tsv"
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        **RIVALS_WITH,
    script:
        "../../scripts/rivals.py"
