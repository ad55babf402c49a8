rule msd:
    input:
        lambda w: trajectories(w.source, w.material, w.temperature),
    output:
        result=f"{RUN}/observables/{{source}}/{{material}}/msd-{{temperature}}K.h5",
        figure=f"{RUN}/report/figures/msd-{{source}}-{{material}}-{{temperature}}K.png",
        table=f"{RUN}/report/tables/msd-{{source}}-{{material}}-{{temperature}}K.csv",
    shell:
        "{MDBENCH:q} msd {input:q} -o {output.result:q} --plot {output.figure:q}"
        " --csv {output.table:q} --quiet"
