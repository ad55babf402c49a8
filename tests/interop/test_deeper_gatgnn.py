"""The layers of DeeperGATGNN beside torch_geometric's parts of the published code: equal numbers.

Its normalization is compared in training, where both take the statistics of the batch. Its softmax
has no bound of the scores, so ours gets one that is out of reach.
"""

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from mdbench.models.deeper_gatgnn import Attention, GroupNorm, Surroundings
from mdbench.nn.edge_form import EdgeRows

pytestmark = pytest.mark.filterwarnings("ignore")


def any_weights(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.double()


def test_group_norm():
    theirs = pytest.importorskip("torch_geometric.nn").DiffGroupNorm(6, 4)
    torch.manual_seed(1)
    ours, theirs = any_weights(GroupNorm(6, 4, "batch")).train(), theirs.double().train()
    theirs.lin.load_state_dict(ours.to_groups.state_dict())
    with torch.no_grad():
        theirs.norm.weight.copy_(ours.norm.weight)
        theirs.norm.bias.copy_(ours.norm.bias)
    atoms = torch.randn(30, 6, dtype=torch.float64)
    found = ours(atoms, torch.arange(30) // 10, 3)
    assert_allclose(found.detach(), theirs(atoms).detach(), rtol=1e-12, atol=1e-14)


def test_attention():
    softmax = pytest.importorskip("torch_geometric.utils").softmax
    torch.manual_seed(2)
    n_atoms, n_pairs, n_heads, n_channels = 7, 25, 3, 4
    layer = any_weights(Attention(n_channels, n_heads, "batch", 50.0)).train()
    i, j = torch.randint(n_atoms, (2, n_pairs))
    receivers, order = torch.cat([i, j]).sort(stable=True)
    senders, rows = torch.cat([j, i])[order], torch.arange(n_pairs).repeat(2)[order]
    place = torch.empty_like(order).index_copy(0, order, torch.arange(2 * n_pairs))
    back, first = place[(order + n_pairs) % (2 * n_pairs)], place[:n_pairs]
    every = torch.arange(2 * n_pairs)
    atoms = torch.randn(n_atoms, n_channels, dtype=torch.float64)
    features = torch.randn(n_pairs, n_channels, dtype=torch.float64)
    ends = receivers, senders, back
    around = Surroundings(
        pairs=EdgeRows(*ends, rows, first, n_atoms),
        edges=EdgeRows(*ends, every, every, n_atoms),
        system_index=torch.zeros_like(receivers),
        n_systems=1,
        features=features,
        envelope=None,
    )

    weights = torch.cat([layer.from_atoms, layer.from_pairs])
    both = features[rows]
    own, other = (
        functional.softplus(torch.cat([atoms[k], both], dim=1) @ weights)
        for k in (receivers, senders)
    )
    heads = [part.view(-1, n_heads, n_channels) for part in (own, other)]
    scores = functional.softplus((torch.cat(heads, dim=2) * layer.to_scores).sum(dim=2))
    norm = torch.nn.BatchNorm1d(n_heads).double()
    norm.load_state_dict(
        {"weight": layer.score_norm.weight, "bias": layer.score_norm.bias}, strict=False
    )
    attention = softmax(functional.softplus(norm(scores)), receivers, num_nodes=n_atoms)
    messages = (heads[1] * attention[:, :, None]).mean(dim=1)
    expected = torch.zeros_like(atoms).index_add(0, receivers, messages) + layer.bias
    found = layer(atoms, around)
    assert_allclose(found.detach(), expected.detach(), rtol=1e-12, atol=1e-14)
