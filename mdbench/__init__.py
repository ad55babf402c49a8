"""Whether the dynamics of a machine-learning force field can be trusted."""
