rule train:
    input:
        f"{RUN}/dataset/{TRAINING['material']}.h5",
    output:
        f"{RUN}/models/{{trained}}/model.json",
        f"{RUN}/models/{{trained}}/model.safetensors",
        f"{RUN}/models/{{trained}}/training.h5",
        figure=f"{RUN}/report/figures/training-{{trained}}.png",
    params:
        model=lambda w: TRAINED[w.trained],
        run=RUN,
        budget=TRAINING["budget"],
    shell:
        "{MDBENCH:q} train --model {params.model:q} --data {input:q} --budget {params.budget}"
        " --run {params.run:q} --plot {output.figure:q} --quiet"
