rule report:
    input:
        [
            f"{RUN}/observables/reference/{material}/rdf-{temperature}K.h5"
            for material, sample in SAMPLES.items()
            for temperature in sample["runs"]
        ],
    output:
        f"{RUN}/report/index.html",
    params:
        run=RUN,
    shell:
        "{MDBENCH:q} report {params.run:q}"
