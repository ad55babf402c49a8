"""Harmonics and equivariant layers beside those of e3nn, with the same weights: equal numbers.

What is not the same:

* The axis of e3nn's harmonics is y, ours is z: those at (x, y, z) there are ours at (z, x, y).
* A vector feature is (channels, 3) there, (3, channels) here.
* e3nn estimates the gains of activations from random numbers (2e-3); here they are integrals.
"""

import math

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from mdbench.graph import segment_sum
from mdbench.nn.equivariant import (
    SIGMOID_GAIN,
    SILU_GAIN,
    EquivariantLinear,
    EquivariantNorm,
    Features,
    Widths,
    gated,
)
from mdbench.nn.equivariant_attention import LEAKY_GAIN, EquivariantAttention, Neighborhoods
from mdbench.nn.spherical import spherical_harmonics

pytestmark = pytest.mark.filterwarnings("ignore")

N_DEGREES = 7


@pytest.fixture(scope="module")
def o3():
    """e3nn's representations, in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield pytest.importorskip("e3nn.o3")
    torch.set_default_dtype(before)


def random(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def directions_of(seed, n):
    return functional.normalize(random(seed, n, 3), dim=1)


# --- harmonics


def test_harmonics(o3):
    directions = directions_of(1, 20)
    theirs = o3.spherical_harmonics(
        list(range(N_DEGREES)), directions, normalize=False, normalization="norm"
    )
    assert_close(spherical_harmonics(directions.roll(1, dims=1), N_DEGREES), theirs)


# --- scalars and vectors


def flat(x: Features) -> torch.Tensor:
    """As e3nn has it: all scalars, then all vectors."""
    return torch.cat([x.scalars, x.vectors.transpose(1, 2).flatten(1)], dim=1)


def features(seed, n, widths):
    return Features(random(seed, n, widths.scalars), random(seed + 1, n, 3, widths.vectors))


def irreps(widths, parity="o"):
    return f"{widths.scalars}x0e+{widths.vectors}x1{parity}"


def test_linear(o3):
    n_in, n_out = Widths(6, 4), Widths(5, 3)
    ours = EquivariantLinear(n_in, n_out).double()
    assert ours.vectors is not None
    with torch.no_grad():
        ours.scalars.bias.copy_(random(2, 5))
    theirs = o3.Linear(irreps(n_in), irreps(n_out), biases=True, path_normalization="element")
    weights = [
        math.sqrt(layer.in_features) * layer.weight.T.flatten()
        for layer in (ours.scalars, ours.vectors)
    ]
    theirs.weight.data = torch.cat(weights).detach()
    theirs.bias.data = ours.scalars.bias.detach()
    x = features(3, 7, n_in)
    assert_close(flat(ours(x)), theirs(flat(x)))


def test_gate(o3):
    nn = pytest.importorskip("e3nn.nn")
    theirs = nn.Gate("6x0e", [functional.silu], "4x0e", [torch.sigmoid], "4x1o")
    for module in theirs.modules():
        if hasattr(module, "cst"):
            exact = SIGMOID_GAIN if module.f is torch.sigmoid else SILU_GAIN
            assert_close(module.cst, exact, rtol=5e-3, atol=0)
            module.cst = exact
    x = features(4, 7, Widths(10, 4))
    assert_close(flat(gated(x)), theirs(flat(x)))


def test_norm(o3):
    """Vectors against the norms that e3nn finds."""
    widths = Widths(6, 4)
    ours = EquivariantNorm(widths).double()
    assert ours.vectors is not None
    with torch.no_grad():
        ours.vectors.copy_(random(5, 4))
    x = features(6, 7, widths)
    squared = o3.Norm(irreps(widths), squared=True)(flat(x))[:, 6:]  # (n, n_vectors)
    scales = (squared.mean(dim=1, keepdim=True) / 3.0 + 0.3**2) ** -0.5
    expected = o3.ElementwiseTensorProduct("4x1o", "4x0e")(flat(x)[:, 6:], scales * ours.vectors)
    assert_close(flat(ours(x))[:, 6:], expected)


# --- attention


def depthwise(o3, widths, parity):
    """The tensor product of an edge: paths in the order of `EquivariantAttention`."""
    harmonics = "0e+1o+2e" if parity == "o" else "0e+1e"
    n, n_v = widths
    outputs = f"{n}x0e+{n_v}x0e+{n}x1{parity}+{n_v}x1{parity}+{n_v}x1{parity}"
    last = 2 if parity == "o" else 1
    paths = [(0, 0, 0), (1, 1, 1), (0, 1, 2), (1, 0, 3), (1, last, 4)]
    return o3.TensorProduct(
        irreps(widths, parity),
        harmonics,
        outputs,
        [(*path, "uvu", True) for path in paths],
        path_normalization="none",
        internal_weights=False,
        shared_weights=False,
    )


def attention_edge_by_edge(o3, ours, atoms, edges, parity):
    """What the layer gives, with e3nn's tensor product on each edge and values of each edge."""
    receivers, senders, vectors, radial, envelope = edges
    n_atoms, (n, n_v) = len(atoms.scalars), ours.values.scalars.weight.shape
    widths = Widths(n, n_v - n)
    merged = flat(ours.from_sender(atoms))[senders] + flat(ours.from_receiver(atoms))[receivers]
    harmonics = o3.spherical_harmonics(
        o3.Irreps("0e+1o+2e" if parity == "o" else "0e+1e"),
        vectors,
        normalize=True,
        normalization="component",
    )
    weights = ours.radial.last(ours.radial.hidden(radial))
    product = depthwise(o3, widths, parity)(merged, harmonics, weights)
    scalars, rest = product[:, :n_v], product[:, n_v:]
    hidden = ours.to_scores(scalars)
    leaky = 0.6 * hidden + 0.4 * hidden * (2.0 * torch.sigmoid(hidden) - 1.0)
    by_head = (LEAKY_GAIN * leaky).view(len(receivers), ours.n_heads, -1)
    scores = torch.exp((by_head * ours.scores).sum(dim=2)) * envelope[:, None]
    a = scores / (ours.vacancy + segment_sum(scores, receivers, n_atoms)[receivers])
    values = ours.values(Features(scalars, rest.unflatten(1, (-1, 3)).transpose(1, 2)))
    messages = Features(
        values.scalars * a.repeat_interleave(n // ours.n_heads, dim=1),
        values.vectors * a.repeat_interleave((n_v - n) // ours.n_heads, dim=1)[:, None],
    )
    return ours.mix(Features(*(segment_sum(x, receivers, n_atoms) for x in messages)))


@pytest.mark.parametrize("parity", ["o", "e"])
def test_attention(o3, parity):
    widths, n_atoms, n_edges, n_basis = Widths(8, 4), 5, 23, 6
    ours = EquivariantAttention(
        widths, 4, n_heads=2, n_basis=n_basis, n_radial=7, even=parity == "e", vacancy=1.0
    ).double()
    with torch.no_grad():
        for seed, parameter in enumerate(ours.parameters()):
            parameter.add_(0.1 * random(10 + seed, *parameter.shape))
    generator = torch.Generator().manual_seed(7)
    receivers = torch.randint(n_atoms - 1, (n_edges,), generator=generator).sort().values
    senders = torch.randint(n_atoms, (n_edges,), generator=generator)
    vectors, radial = directions_of(8, n_edges), random(9, n_edges, n_basis)
    envelope = torch.rand(n_edges, generator=generator)
    atoms = features(30, n_atoms, widths)
    edges = receivers, senders, vectors, radial, envelope
    expected = attention_edge_by_edge(o3, ours, atoms, edges, parity)
    found = ours(atoms, in_slots(edges, n_atoms))
    assert_close(found.scalars, expected.scalars, rtol=1e-11, atol=1e-12)
    assert_close(found.vectors, expected.vectors, rtol=1e-11, atol=1e-12)


def in_slots(edges, n_atoms):
    """One edge after the other; slots that stay empty hold what must not matter."""
    receivers, senders, vectors, radial, envelope = edges
    n_slots = int(torch.bincount(receivers).max())
    near = Neighborhoods(
        senders=torch.zeros(n_atoms * n_slots, dtype=torch.long),
        rows=torch.full((n_atoms * n_slots,), len(senders)),
        radial=torch.cat([radial, torch.ones(1, radial.shape[1])]),
        directions=torch.ones(n_atoms, n_slots, 3),
        envelope=torch.zeros(n_atoms, n_slots),
    )
    filled = [0] * n_atoms
    for edge, i in enumerate(receivers.tolist()):
        slot = filled[i]
        filled[i] += 1
        near.senders[i * n_slots + slot] = senders[edge]
        near.rows[i * n_slots + slot] = edge
        near.directions[i, slot] = vectors[edge]
        near.envelope[i, slot] = envelope[edge]
    return near
