"""Jumps of simulated ions whose sites are known: a simple cubic grid, or double wells."""

import numpy as np

from mdbench.analysis.jumps import Jumps

N_FRAMES, INTERVAL_PS = 3500, 0.01
STEPS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])


def jumps_of(rows, *, n_ions=2, n_sites=8, n_frames=100, interval_ps=0.1, first=None):
    """The jumps of rows (ion, frame, origin, target, *shift), in any order."""
    table = np.array([(*row, 0, 0, 0)[:7] for row in rows], dtype=np.int64).reshape(-1, 7)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return Jumps(
        ion=table[:, 0],
        frame=table[:, 1],
        origin=table[:, 2],
        target=table[:, 3],
        shift=table[:, 4:],
        ion_sites=np.zeros(n_ions, dtype=np.int64) if first is None else np.asarray(first),
        arrival=np.zeros(n_ions, dtype=np.int64),
        n_sites=n_sites,
        n_frames=n_frames,
        frame_interval_ps=interval_ps,
    )


def jumpers(
    rng,
    *,
    shape=(3, 3, 6),
    n_ions=20,
    jumps_per_ion=10.0,
    axes=(1, 1, 1),
    group=1,
    back=0.0,
    blocking=False,
    spread=0.0,
    n_frames=N_FRAMES,
):
    """A run of 35 ps of ions on a grid of sites, by attempts at the times of a Poisson process.

    Args:
        rng: Source of the random numbers.
        shape: Sites along each axis.
        n_ions: On sites of their own in the begin.
        jumps_per_ion: Attempts; 35 ps is what they are made in.
        axes: Weights of steps along each axis.
        group: Ions, drawn anew each time, that go the same way at once.
        back: Probability that an attempt leads back to where the ion came from.
        blocking: Whether ions do not go where another one is.
        spread: Of ln rate of the directed bonds, drawn once and for all.
        n_frames: Length.
    """
    shape = np.array(shape)
    sites = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    n_sites = len(sites)
    bonds = np.exp(spread * np.random.default_rng(0).standard_normal((n_sites, 6)))
    bonds = (bonds * np.repeat(axes, 2)).cumsum(axis=1)
    fastest = bonds[:, -1].max()
    at = rng.permutation(n_sites)[:n_ions]
    first, free, last = at.copy(), np.ones(n_sites, dtype=bool), np.full(n_ions, -1)
    free[at] = False
    expected = jumps_per_ion * n_ions / group * n_frames / N_FRAMES * fastest / bonds[:, -1].mean()
    rows = []
    for frame in np.sort(rng.integers(1, n_frames, rng.poisson(expected))):
        ions = rng.permutation(n_ions)[:group] if group > 1 else [rng.integers(n_ions)]
        draw, returns = rng.random() * fastest, rng.random() < back
        for ion in ions:
            site = at[ion]
            way = int(np.searchsorted(bonds[site], draw, side="right"))
            if way == 6:
                continue
            way = last[ion] ^ 1 if returns and last[ion] >= 0 else way
            shift, to = np.divmod(sites[site] + STEPS[way], shape)
            target = int(np.ravel_multi_index(tuple(to), tuple(shape)))
            if blocking and not free[target]:
                continue
            free[site], free[target] = True, False
            at[ion], last[ion] = target, way
            rows.append((ion, frame, site, target, *shift))
    return jumps_of(
        rows,
        n_ions=n_ions,
        n_sites=n_sites,
        n_frames=n_frames,
        interval_ps=INTERVAL_PS,
        first=first,
    )


def wells(rng, *, n_ions=20, jumps_per_ion=10.0):
    """A run of ions of which each goes to and fro in two sites of its own."""
    rows = []
    for ion, n in enumerate(rng.poisson(jumps_per_ion, n_ions)):
        side = rng.integers(2)
        for frame in np.sort(rng.integers(1, N_FRAMES, n)):
            rows.append((ion, frame, 2 * ion + side, 2 * ion + 1 - side))
            side = 1 - side
    return jumps_of(
        rows, n_ions=n_ions, n_sites=2 * n_ions, n_frames=N_FRAMES, interval_ps=INTERVAL_PS
    )


#: What a floor and an interval can go wrong on.
KINDS = {
    "free": lambda rng: jumpers(rng),
    "channels": lambda rng: jumpers(rng, axes=(0, 0, 1)),
    "fast channels": lambda rng: jumpers(rng, axes=(0, 0, 1), jumps_per_ion=60),
    "in concert": lambda rng: jumpers(rng, group=10),
    "channels in concert": lambda rng: jumpers(rng, axes=(0, 0, 1), group=4),
    "back and forth": lambda rng: jumpers(rng, back=0.7),
    "vacancies": lambda rng: jumpers(rng, n_ions=50, blocking=True, jumps_per_ion=40),
    "vacancies back and forth": lambda rng: jumpers(
        rng, n_ions=50, blocking=True, back=0.7, jumps_per_ion=60
    ),
    "unequal rates": lambda rng: jumpers(rng, spread=1.5),
    "few": lambda rng: jumpers(rng, jumps_per_ion=0.3),
    "slow": lambda rng: jumpers(rng, jumps_per_ion=2),
    "many": lambda rng: jumpers(rng, jumps_per_ion=60),
    "wells": wells,
}
