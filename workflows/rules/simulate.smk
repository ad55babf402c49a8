rule simulate_perfect:
    output:
        batch("rollouts/refpot"),
    params:
        **SIZE,
    threads: workflow.cores
    shell:
        "{MDBENCH:q} simulate --calculator refpot --seed 1 --material {wildcards.simulated} "
        + DYNAMICS


rule simulate_model:
    input:
        model=f"{RUN}/models/{{trained}}/model.safetensors",
        starts=lambda w: [
            path
            for material in REFERENCE["materials"]
            for t in ROLLOUTS["temperatures"]
            for path in trajectories("reference", material, t)
        ],
    output:
        [
            f"{RUN}/rollouts/{{trained}}/{material}/{t}K-r{i}.h5"
            for material in REFERENCE["materials"]
            for t in ROLLOUTS["temperatures"]
            for i in range(ROLLOUTS["replicas"])
        ],
    params:
        folder=lambda w, input: Path(input.model).parent,
        materials=[x for material in REFERENCE["materials"] for x in ("--material", material)],
        temperatures=",".join(ROLLOUTS["temperatures"]),
        replicas=ROLLOUTS["replicas"],
        ps=ROLLOUTS["ps"],
        stride=ROLLOUTS["stride"],
        run=RUN,
    shell:
        "{MDBENCH:q} simulate --model {params.folder:q} {params.materials} --start reference"
        " --temps {params.temperatures} --replicas {params.replicas} --ps {params.ps}"
        " --stride {params.stride} --threads {threads} --run {params.run:q} --quiet"
