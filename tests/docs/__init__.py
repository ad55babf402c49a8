"""Every command and every message in the documentation is the tool's own."""
