"""Tests beside other packages are skipped where these are missing: not where `make test` is run."""

import importlib
import os

import pytest

PEERS = ("MDAnalysis", "znh5md", "chemfiles", "freud", "kinisi", "vesin", "torch_geometric", "e3nn")


@pytest.mark.skipif("MDBENCH_PEERS" not in os.environ, reason="not `make test`")
@pytest.mark.parametrize("name", PEERS)
def test_it_is_here(name) -> None:
    importlib.import_module(name)
