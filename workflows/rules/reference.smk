DYNAMICS = (
    "--temps {params.temperatures} --replicas {params.replicas} --ps {params.ps}"
    " --stride {params.stride} --threads {threads} --run {params.run:q} --quiet"
)
SIZE = {
    "temperatures": ",".join(REFERENCE["temperatures"]),
    "replicas": REFERENCE["replicas"],
    "ps": REFERENCE["ps"],
    "stride": REFERENCE["stride"],
    "run": RUN,
}


def batch(place):
    """The trajectories of all temperatures and replicas, which one job makes."""
    return [
        f"{RUN}/{place}/{{simulated}}/{t}K-r{i}.h5"
        for t in REFERENCE["temperatures"]
        for i in range(REFERENCE["replicas"])
    ]


rule reference:
    output:
        batch("reference"),
    params:
        **SIZE,
    threads: workflow.cores
    shell:
        "{MDBENCH:q} reference --material {wildcards.simulated} " + DYNAMICS
