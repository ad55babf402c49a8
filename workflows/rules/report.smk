rule report:
    input:
        [
            f"{RUN}/observables/{source}/{material}/{observable}-{temperature}K.h5"
            for material, sources in RUNS.items()
            for source, runs in sources.items()
            for temperature in runs
            for observable in ("rdf", "msd")
            if observable == "rdf" or source not in TRAINED  # of runs that may end early
        ],
        [
            f"{RUN}/observables/{source}/{material}/conductivity.h5"
            for material, sources in RUNS.items()
            for source in sources
        ],
        expand(
            RUN + "/accuracy/{trained}/{material}.h5",
            trained=TRAINED,
            material=REFERENCE["materials"],
        ),
        expand(
            RUN + "/accuracy/{trained}/{material}-near.h5",
            trained=TRAINED,
            material=TRAINING["material"],
        ),
        expand(RUN + "/audit/{trained}.h5", trained=TRAINED),
    output:
        f"{RUN}/report/index.html",
    params:
        run=RUN,
    shell:
        "{MDBENCH:q} report {params.run:q}"
