"""The workflow: each rule runs one command."""
