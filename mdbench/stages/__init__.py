"""Stages: read files, compute, write files. One module and one `run` each."""
