# All materials in one job. The figure is no output: where a model gives no finite number there is
# none, and the results say so.
EVALUATE = (
    "{MDBENCH:q} evaluate --model {params.folder:q} {params.data} --run {params.run:q}"
    " --threads {threads} --quiet"
)


rule evaluate:
    input:
        model=f"{RUN}/models/{{trained}}/model.safetensors",
        data=[f"{RUN}/dataset/{material}.h5" for material in REFERENCE["materials"]],
    output:
        [f"{RUN}/accuracy/{{trained}}/{material}.h5" for material in REFERENCE["materials"]],
        table=f"{RUN}/report/tables/accuracy-{{trained}}.csv",
    params:
        folder=lambda w, input: Path(input.model).parent,
        data=lambda w, input: " ".join(f"--data {shlex.quote(str(path))}" for path in input.data),
        figure=f"{RUN}/report/figures/accuracy-{{trained}}.png",
        run=RUN,
    shell:
        EVALUATE + " --plot {params.figure:q} --csv {output.table:q}"


# Frames that stand between those of training, which random sampling would have tested on.
rule evaluate_near:
    input:
        model=f"{RUN}/models/{{trained}}/model.safetensors",
        data=f"{RUN}/dataset/{TRAINING['material']}.h5",
    output:
        f"{RUN}/accuracy/{{trained}}/{TRAINING['material']}-near.h5",
    params:
        folder=lambda w, input: Path(input.model).parent,
        data=lambda w, input: f"--data {shlex.quote(str(input.data))}",
        run=RUN,
    shell:
        EVALUATE + " --split near"
