rule audit:
    input:
        f"{RUN}/models/{{trained}}/model.safetensors",
    output:
        f"{RUN}/audit/{{trained}}.h5",
    params:
        folder=lambda w, input: Path(input[0]).parent,
    shell:
        "{MDBENCH:q} audit --model {params.folder:q} -o {output:q} --quiet"
