rule rdf_reference:
    input:
        lambda w: trajectories("reference", w.material, w.temperature),
    output:
        result=f"{RUN}/observables/reference/{{material}}/rdf-{{temperature}}K.h5",
        figure=f"{RUN}/report/figures/rdf-reference-{{material}}-{{temperature}}K.png",
        table=f"{RUN}/report/tables/rdf-reference-{{material}}-{{temperature}}K.csv",
    threads: 2
    shell:
        "{MDBENCH:q} rdf {input:q} -o {output.result:q} --plot {output.figure:q}"
        " --csv {output.table:q} --threads {threads} --quiet"


rule rdf_model:
    input:
        model=lambda w: trajectories(w.model, w.material, w.temperature),
        reference=lambda w: trajectories("reference", w.material, w.temperature),
    output:
        result=f"{RUN}/observables/{{model}}/{{material}}/rdf-{{temperature}}K.h5",
        figure=f"{RUN}/report/figures/rdf-{{model}}-{{material}}-{{temperature}}K.png",
        table=f"{RUN}/report/tables/rdf-{{model}}-{{material}}-{{temperature}}K.csv",
    params:
        against=lambda w, input: [x for path in input.reference for x in ("--against", path)],
    threads: 2
    shell:
        "{MDBENCH:q} rdf {input.model:q} {params.against:q} -o {output.result:q}"
        " --plot {output.figure:q} --csv {output.table:q} --threads {threads} --quiet"
