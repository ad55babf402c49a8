rule conductivity_reference:
    input:
        lambda w: all_trajectories("reference", w.material),
    output:
        result=f"{RUN}/observables/reference/{{material}}/conductivity.h5",
        figure=f"{RUN}/report/figures/conductivity-reference-{{material}}.png",
        table=f"{RUN}/report/tables/conductivity-reference-{{material}}.csv",
    shell:
        "{MDBENCH:q} conductivity {input:q} -o {output.result:q} --plot {output.figure:q}"
        " --csv {output.table:q} --paper --quiet"


rule conductivity_model:
    input:
        model=lambda w: all_trajectories(w.model, w.material),
        reference=lambda w: all_trajectories("reference", w.material),
    output:
        result=f"{RUN}/observables/{{model}}/{{material}}/conductivity.h5",
        figure=f"{RUN}/report/figures/conductivity-{{model}}-{{material}}.png",
        table=f"{RUN}/report/tables/conductivity-{{model}}-{{material}}.csv",
    params:
        against=lambda w, input: [x for path in input.reference for x in ("--against", path)],
    shell:
        "{MDBENCH:q} conductivity {input.model:q} {params.against:q} -o {output.result:q}"
        " --plot {output.figure:q} --csv {output.table:q} --paper --quiet"
