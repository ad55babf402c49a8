"""What a notebook asks for: the analyses of the commands, on trajectories in memory.

Every function takes a `Trajectory`, or a list of them that are replicas, and gives the numbers that
the command of the same subject prints for their files.
"""
