rule ingest:
    input:
        lambda w: HOME / SAMPLES[w.material]["runs"][w.temperature][int(w.replica)],
    output:
        f"{RUN}/reference/{{material}}/{{temperature}}K-r{{replica}}.h5",
    params:
        interval=lambda w: SAMPLES[w.material]["frame_interval_fs"],
        label=lambda w: SAMPLES[w.material]["label"],
        mobile=lambda w: SAMPLES[w.material]["mobile"],
    shell:
        "{MDBENCH:q} ingest {input:q} -o {output:q} --material {wildcards.material:q}"
        " --temperature {wildcards.temperature} --frame-interval-fs {params.interval}"
        " --mobile {params.mobile:q} --label {params.label:q}"
