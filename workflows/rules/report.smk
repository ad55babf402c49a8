rule report:
    input:
        [
            f"{RUN}/observables/{source}/{material}/{observable}-{temperature}K.h5"
            for material, sources in RUNS.items()
            for source, runs in sources.items()
            for temperature in runs
            for observable in ("rdf", "msd")
        ],
        [
            f"{RUN}/observables/{source}/{material}/conductivity.h5"
            for material, sources in RUNS.items()
            for source in sources
        ],
    output:
        f"{RUN}/report/index.html",
    params:
        run=RUN,
    shell:
        "{MDBENCH:q} report {params.run:q}"
