"""What is computed from trajectories: plain functions on arrays."""
