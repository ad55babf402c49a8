"""Training: which frames, the loss, the loop, the checkpoint; no files but checkpoints."""
