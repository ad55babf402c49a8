rule report:
    input:
        [
            f"{RUN}/observables/{source}/{material}/{observable}-{temperature}K.h5"
            for material, sample in SAMPLES.items()
            for source, runs in sample["sources"].items()
            for temperature in runs
            for observable in ("rdf", "msd")
        ],
        [
            f"{RUN}/observables/{source}/{material}/conductivity.h5"
            for material, sample in SAMPLES.items()
            for source in sample["sources"]
        ],
    output:
        f"{RUN}/report/index.html",
    params:
        run=RUN,
    shell:
        "{MDBENCH:q} report {params.run:q}"
