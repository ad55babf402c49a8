"""Layers that several models share: radial bases, envelopes, activations."""
