"""Foreign trajectory files."""
