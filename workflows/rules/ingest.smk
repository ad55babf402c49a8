INGEST = (
    "{MDBENCH:q} ingest {input:q} -o {output:q} --material {wildcards.sample:q}"
    " --temperature {wildcards.temperature} --frame-interval-fs {params.interval}"
    " --mobile {params.mobile:q} --label {params.label:q} --quiet"
)


def sample_file(wildcards):
    """The file of one run."""
    source = wildcards.get("model", "reference")
    runs = SAMPLES[wildcards.sample]["sources"][source][wildcards.temperature]
    return HOME / runs[int(wildcards.replica)]


rule ingest_reference:
    input:
        sample_file,
    output:
        f"{RUN}/reference/{{sample}}/{{temperature}}K-r{{replica}}.h5",
    params:
        interval=lambda w: SAMPLES[w.sample]["frame_interval_fs"],
        mobile=lambda w: SAMPLES[w.sample]["mobile"],
        label="synthetic",
    shell:
        INGEST


rule ingest_model:
    input:
        sample_file,
    output:
        f"{RUN}/rollouts/{{model}}/{{sample}}/{{temperature}}K-r{{replica}}.h5",
    params:
        interval=lambda w: SAMPLES[w.sample]["frame_interval_fs"],
        mobile=lambda w: SAMPLES[w.sample]["mobile"],
        label=lambda w: f"{w.model} (synthetic)",
    shell:
        INGEST
