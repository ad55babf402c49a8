rule evaluate:
    input:
        model=f"{RUN}/models/{{trained}}/model.safetensors",
        data=f"{RUN}/dataset/{{simulated}}.h5",
    output:
        result=f"{RUN}/accuracy/{{trained}}/{{simulated}}.h5",
        figure=f"{RUN}/report/figures/accuracy-{{trained}}-{{simulated}}.png",
        table=f"{RUN}/report/tables/accuracy-{{trained}}-{{simulated}}.csv",
    params:
        folder=lambda w, input: Path(input.model).parent,
    shell:
        "{MDBENCH:q} evaluate --model {params.folder:q} --data {input.data:q}"
        " -o {output.result:q} --plot {output.figure:q} --csv {output.table:q} --quiet"


# Frames that stand between those of training, which random sampling would have tested on.
rule evaluate_near:
    input:
        model=f"{RUN}/models/{{trained}}/model.safetensors",
        data=f"{RUN}/dataset/{{simulated}}.h5",
    output:
        f"{RUN}/accuracy/{{trained}}/{{simulated}}-near.h5",
    params:
        folder=lambda w, input: Path(input.model).parent,
    shell:
        "{MDBENCH:q} evaluate --model {params.folder:q} --data {input.data:q} --split near"
        " -o {output:q} --quiet"
