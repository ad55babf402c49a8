rule dataset:
    input:
        lambda w: all_trajectories("reference", w.simulated),
    output:
        f"{RUN}/dataset/{{simulated}}.h5",
    params:
        run=RUN,
        fraction=TRAINING["fraction"],
    shell:
        "{MDBENCH:q} dataset --material {wildcards.simulated} --fraction {params.fraction}"
        " --run {params.run:q} --quiet"
