"""Structures of sulfide electrolytes, installed as `mdbench_data`; see README.md."""
