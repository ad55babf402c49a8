"""Molecular dynamics of many systems at once, of any force field."""
