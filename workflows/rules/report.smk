rule report:
    input:
        [
            f"{RUN}/observables/{source}/{material}/rdf-{temperature}K.h5"
            for material, sample in SAMPLES.items()
            for source, runs in sample["sources"].items()
            for temperature in runs
        ],
    output:
        f"{RUN}/report/index.html",
    params:
        run=RUN,
    shell:
        "{MDBENCH:q} report {params.run:q}"
