rule simulate:
    output:
        batch("rollouts/refpot"),
    params:
        **SIZE,
    threads: workflow.cores
    shell:
        "{MDBENCH:q} simulate --calculator refpot --seed 1 --material {wildcards.simulated} "
        + DYNAMICS
