def replicas(wildcards):
    """Trajectories of one material at one temperature."""
    runs = SAMPLES[wildcards.material]["runs"][wildcards.temperature]
    folder = f"{RUN}/reference/{wildcards.material}"
    return [f"{folder}/{wildcards.temperature}K-r{i}.h5" for i in range(len(runs))]


rule rdf:
    input:
        replicas,
    output:
        result=f"{RUN}/observables/reference/{{material}}/rdf-{{temperature}}K.h5",
        figure=f"{RUN}/report/figures/rdf-reference-{{material}}-{{temperature}}K.png",
        table=f"{RUN}/report/tables/rdf-reference-{{material}}-{{temperature}}K.csv",
    threads: 2
    shell:
        "{MDBENCH:q} rdf {input:q} -o {output.result:q} --plot {output.figure:q}"
        " --csv {output.table:q} --threads {threads}"
