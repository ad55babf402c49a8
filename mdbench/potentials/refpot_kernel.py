"""The machine code of `refpot`: one call computes all systems, each as if it were alone.

Atoms are sorted by species within their system, in the order of `refpot.SPECIES`, and pairs by
their kind (the two species), atoms and cell shift. So every sum runs in one order, whatever else
is in the batch and wherever a list was built: results are the same to the last bit. Pairs of one
kind are computed in loops without branches, which the compiler turns into vector instructions;
`np.divide` there, since a division by / would check for zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.neighbors import moved_too_far, system_pairs
from mdbench.potentials.base import FloatArray, IntArray

#: What a system's list is: to be built where the atoms are now, at the reference, or ready.
ABSENT, STALE, READY = 0, 1, 2
#: By how much a list reaches beyond that of near pairs, which is chosen from it, Å. Atoms swing
#: about their sites, so that a list with room for that lasts a hundred steps and not ten.
RESERVE = 3.0


class Tables(NamedTuple):
    """Parameters as arrays.

    Attributes:
        kinds: (n_kinds, 8) of each unordered pair of species k·qi·qj, A, ρ, C, D, a, r0 and λ of
            `refpot.Parameters`; 0 where a term is absent.
        kind_of: (n_species, n_species) row of two species.
        lengths: (5,) Å, cutoff, skin, both ends of the bond's switch, reach of the angles.
    """

    kinds: FloatArray
    kind_of: IntArray
    lengths: FloatArray


class Atoms(NamedTuple):
    """The systems, as `base.Systems` has them, and the inner order of their atoms.

    Attributes:
        first_atom: (n_systems + 1,)
        order: (n_atoms,) atom at each inner place, sorted by species within a system.
        species: (n_atoms,) species at each inner place.
        cells: (n_systems, 3, 3) Å.
        inverses: (n_systems, 3, 3) 1/Å.
        heights: (n_systems, 3) Å, distances between the cell's planes.
    """

    first_atom: IntArray
    order: IntArray
    species: IntArray
    cells: FloatArray
    inverses: FloatArray
    heights: FloatArray


class Pairs(NamedTuple):
    """Pairs of all systems, each system's in a room of its own.

    Attributes:
        reference: (n_atoms, 3) Å, where each system's pairs were chosen.
        kind_starts: (n_systems, n_kinds + 1) where pairs of a kind begin in the room; the last
            is the number of pairs, also where the room is too small for them.
        ends: (2, room) inner places i and j in their system.
        shifts: (3, room) Å, S @ cell.
    """

    reference: FloatArray
    kind_starts: IntArray
    ends: NDArray[np.uint32]
    shifts: FloatArray


class Lists(NamedTuple):
    """The pairs of all systems, in two lists: finding pairs costs more than choosing among them.

    Attributes:
        status: (n_systems,) ABSENT, STALE or READY.
        first_pair: (n_systems + 1,) the room of each system, in both lists.
        far: Pairs within cutoff, skin and reserve: the atoms may move by the reserve.
        near: Of those the ones within cutoff and skin: the atoms may move by the skin.
    """

    status: IntArray
    first_pair: IntArray
    far: Pairs
    near: Pairs


class Results(NamedTuple):
    """What is computed in place.

    Attributes:
        energies: (n_systems,) eV.
        forces: (n_atoms, 3) eV/Å.
        virials: (n_systems, 3, 3) eV.
    """

    energies: FloatArray
    forces: FloatArray
    virials: FloatArray


class Work(NamedTuple):
    """Room for intermediate results of one system.

    Attributes:
        positions: (3, n_atoms) Å, in the inner order.
        forces: (3, n_atoms) eV/Å, likewise.
        ends: (2, n_pairs) places of the pairs of one kind that are within the cutoff.
        pairs: (6, n_pairs) of those: x, y, z and r in Å, energy in eV, −energy′/r in eV/Å².
        bonds: (6, n_pairs) of the neighbors of one center: x/r, y/r, z/r, r, h and h′.
        chosen: (n_pairs,) places of pairs that are near.
    """

    positions: FloatArray
    forces: FloatArray
    ends: NDArray[np.uint32]
    pairs: FloatArray
    bonds: FloatArray
    chosen: IntArray


@compiled
def evaluate(
    positions: FloatArray,
    active: NDArray[np.bool_],
    tables: Tables,
    atoms: Atoms,
    lists: Lists,
    results: Results,
    work: Work,
) -> int:  # pragma: no cover
    """Energies, forces and virials of the active systems; the first one whose list lacks room.

    All are done where it gives the number of systems. Else that system needs room for
    `lists.far.kind_starts[s, -1]` pairs, and the call is to be repeated. A system with positions
    that are not finite gets NaN and keeps its lists.
    """
    n_systems = len(atoms.cells)
    for s in range(n_systems):
        if not active[s]:
            continue
        begin, end = atoms.first_atom[s], atoms.first_atom[s + 1]
        x = positions[begin:end]
        if not np.isfinite(x).all():
            results.energies[s] = np.nan
            results.forces[begin:end] = np.nan
            results.virials[s] = np.nan
            continue
        near, far = lists.near.reference[begin:end], lists.far.reference[begin:end]
        # at every step, so that it does not depend on the near list, which a snapshot lacks
        if lists.status[s] == ABSENT or moved_too_far(x, far, RESERVE):
            far[:] = x
            lists.status[s] = STALE
        if lists.status[s] == STALE or moved_too_far(x, near, tables.lengths[1]):
            if lists.status[s] == STALE and not _build(s, tables, atoms, lists):
                return s
            near[:] = x
            _choose(s, tables, atoms, lists, work)
            lists.status[s] = READY
        _system(s, x, tables, atoms, lists, results, work)
    return n_systems


@compiled
def _build(s: int, tables: Tables, atoms: Atoms, lists: Lists) -> bool:  # pragma: no cover
    """Lists a system's pairs at its reference, sorted by kind; False where they lack room."""
    begin, end = atoms.first_atom[s], atoms.first_atom[s + 1]
    species = atoms.species[begin:end]
    cell, kind_of = atoms.cells[s], tables.kind_of
    ends, vectors = lists.far.ends, lists.far.shifts
    x = np.empty((end - begin, 3))
    for i in range(end - begin):
        for k in range(3):
            x[i, k] = lists.far.reference[atoms.order[begin + i], k]
    reach = tables.lengths[0] + tables.lengths[1] + RESERVE
    pairs, shifts = system_pairs(x, cell, atoms.inverses[s], atoms.heights[s], reach, True)
    starts = lists.far.kind_starts[s]
    starts[:] = 0
    for p in range(len(pairs)):
        starts[kind_of[species[pairs[p, 0]], species[pairs[p, 1]]] + 1] += 1
    for kind in range(len(starts) - 1):
        starts[kind + 1] += starts[kind]
    room = lists.first_pair[s]
    if room + len(pairs) > lists.first_pair[s + 1]:
        return False
    filled = starts.copy()
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        a, b, c = shifts[p, 0], shifts[p, 1], shifts[p, 2]
        kind = kind_of[species[i], species[j]]
        place = room + filled[kind]
        filled[kind] += 1
        ends[0, place], ends[1, place] = i, j
        for k in range(3):
            vectors[k, place] = a * cell[0, k] + b * cell[1, k] + c * cell[2, k]
    return True


@compiled
def _choose(
    s: int, tables: Tables, atoms: Atoms, lists: Lists, work: Work
) -> None:  # pragma: no cover
    """Lists a system's near pairs at their reference, in the order of all.

    Lengths first, then a choice without a branch: the first loop becomes vector instructions.
    """
    begin, room = atoms.first_atom[s], lists.first_pair[s]
    for place in range(atoms.first_atom[s + 1] - begin):
        for k in range(3):
            work.positions[k, place] = lists.near.reference[atoms.order[begin + place], k]
    far, near = lists.far.kind_starts[s], lists.near.kind_starts[s]
    squared = (tables.lengths[0] + tables.lengths[1]) ** 2
    xs, ys, zs = work.positions[0], work.positions[1], work.positions[2]
    n = 0
    for kind in range(len(far) - 1):
        low, high = room + far[kind], room + far[kind + 1]
        first, second = lists.far.ends[0, low:high], lists.far.ends[1, low:high]
        shift_x, shift_y = lists.far.shifts[0, low:high], lists.far.shifts[1, low:high]
        shift_z, lengths = lists.far.shifts[2, low:high], work.pairs[0]
        for p in range(len(first)):
            i, j = first[p], second[p]
            x = xs[j] + shift_x[p] - xs[i]
            y = ys[j] + shift_y[p] - ys[i]
            z = zs[j] + shift_z[p] - zs[i]
            lengths[p] = x * x + y * y + z * z
        near[kind] = n
        m = 0
        for p in range(len(first)):
            work.chosen[m] = p
            m += lengths[p] < squared
        for q in range(m):
            p, place = work.chosen[q], room + n + q
            lists.near.ends[0, place], lists.near.ends[1, place] = first[p], second[p]
            lists.near.shifts[0, place] = shift_x[p]
            lists.near.shifts[1, place] = shift_y[p]
            lists.near.shifts[2, place] = shift_z[p]
        n += m
    near[-1] = n


@compiled
def _system(
    s: int,
    x: FloatArray,
    tables: Tables,
    atoms: Atoms,
    lists: Lists,
    results: Results,
    work: Work,
) -> None:  # pragma: no cover
    """One system, kind of pair after kind of pair."""
    begin, n_atoms = atoms.first_atom[s], len(x)
    for place in range(n_atoms):
        atom = atoms.order[begin + place] - begin
        for k in range(3):
            work.positions[k, place] = x[atom, k]
            work.forces[k, place] = 0.0
    virial = results.virials[s]
    virial[:] = 0.0
    energy = 0.0
    rc, starts = tables.lengths[0], lists.near.kind_starts[s]
    r, e, g = work.pairs[3], work.pairs[4], work.pairs[5]
    for kind in range(len(tables.kinds)):
        terms = tables.kinds[kind]
        n = _distances(
            lists.first_pair[s] + starts[kind],
            lists.first_pair[s] + starts[kind + 1],
            rc,
            lists.near.ends,
            lists.near.shifts,
            work,
        )
        _coulomb(terms[0], rc, r[:n], e[:n], g[:n])
        if terms[1] != 0.0:
            _born_mayer(terms[1], terms[2], rc, r[:n], e[:n], g[:n])
        if terms[3] != 0.0:
            _dispersion(terms[3], rc, r[:n], e[:n], g[:n])
        if terms[4] != 0.0:
            _bonds(terms, tables.lengths, r[:n], e[:n], g[:n])
        energy += _add_pairs(n, work, virial)
        if terms[7] != 0.0:
            energy += _angles(n, terms[7], tables.lengths[4], work, virial)
    results.energies[s] = energy
    for place in range(n_atoms):
        for k in range(3):
            results.forces[atoms.order[begin + place], k] = work.forces[k, place]


@compiled
def _distances(
    low: int,
    high: int,
    cutoff: float,
    ends: NDArray[np.uint32],
    shifts: FloatArray,
    work: Work,
) -> int:  # pragma: no cover
    """Number of the pairs within the cutoff; their ends, vectors and lengths go to `work`."""
    xs, ys, zs = work.positions[0], work.positions[1], work.positions[2]
    dx, dy, dz, r = work.pairs[0], work.pairs[1], work.pairs[2], work.pairs[3]
    first, second = work.ends[0], work.ends[1]
    ends_i, ends_j = ends[0], ends[1]
    shift_x, shift_y, shift_z = shifts[0], shifts[1], shifts[2]
    n = 0
    for p in range(low, high):
        i, j = ends_i[p], ends_j[p]
        x = xs[j] + shift_x[p] - xs[i]
        y = ys[j] + shift_y[p] - ys[i]
        z = zs[j] + shift_z[p] - zs[i]
        squared = x * x + y * y + z * z
        dx[n], dy[n], dz[n], r[n] = x, y, z, squared
        first[n], second[n] = i, j
        n += squared < cutoff * cutoff
    for p in range(n):
        r[p] = np.sqrt(r[p])
    return n


@compiled
def _coulomb(
    strength: float, cutoff: float, r: FloatArray, e: FloatArray, g: FloatArray
) -> None:  # pragma: no cover
    """Starts energies and −energy′/r with the electrostatic term."""
    zero, two, four = 15.0 / (8.0 * cutoff), 5.0 / (4.0 * cutoff**3), 3.0 / (8.0 * cutoff**5)
    for p in range(len(r)):
        inverse = np.divide(1.0, r[p])
        square = r[p] * r[p]
        e[p] = strength * (inverse - zero + square * (two - square * four))
        g[p] = strength * (inverse * inverse * inverse - 2.0 * two + square * (4.0 * four))


@compiled
def _born_mayer(
    strength: float,
    length: float,
    cutoff: float,
    r: FloatArray,
    e: FloatArray,
    g: FloatArray,
) -> None:  # pragma: no cover
    """Adds a repulsion."""
    per_length = 1.0 / length
    at_cutoff = math.exp(-cutoff * per_length)
    for p in range(len(r)):
        t = (r[p] - cutoff) * per_length
        repulsion = math.exp(-r[p] * per_length)
        e[p] += strength * (repulsion - at_cutoff * (1.0 - t + 0.5 * t * t))
        slope = strength * per_length * (repulsion - at_cutoff * (1.0 - t))
        g[p] += np.divide(slope, r[p])


@compiled
def _dispersion(
    strength: float, cutoff: float, r: FloatArray, e: FloatArray, g: FloatArray
) -> None:  # pragma: no cover
    """Adds an attraction."""
    six, seven, eight = cutoff**-6.0, 6.0 * cutoff**-7.0, 21.0 * cutoff**-8.0
    for p in range(len(r)):
        x = r[p] - cutoff
        inverse = np.divide(1.0, r[p])
        square = inverse * inverse
        sixth = square * square * square
        e[p] -= strength * (sixth - six + x * (seven - x * eight))
        g[p] -= strength * inverse * (6.0 * sixth * inverse - seven + 2.0 * x * eight)


@compiled
def _bonds(
    terms: FloatArray, lengths: FloatArray, r: FloatArray, e: FloatArray, g: FloatArray
) -> None:  # pragma: no cover
    """Adds the bonds of the few pairs that are close enough."""
    depth, steepness, rest = terms[4], terms[5], terms[6]
    low, high = lengths[2], lengths[3]
    for p in range(len(r)):
        if r[p] >= high:
            continue
        decay = math.exp(-steepness * (r[p] - rest))
        bond = depth * decay * (decay - 2.0)
        slope = -2.0 * depth * steepness * decay * (decay - 1.0)
        if r[p] > low:
            t = (r[p] - low) / (high - low)
            switch = 1.0 - t * t * t * (10.0 - t * (15.0 - 6.0 * t))
            slope = slope * switch - bond * 30.0 * (t * (1.0 - t)) ** 2 / (high - low)
            bond *= switch
        e[p] += bond
        g[p] -= np.divide(slope, r[p])


@compiled
def _add_pairs(n: int, work: Work, virial: FloatArray) -> float:  # pragma: no cover
    """Energy of the pairs in `work`, eV; their forces and virial are added."""
    dx, dy, dz = work.pairs[0], work.pairs[1], work.pairs[2]
    e, g = work.pairs[4], work.pairs[5]
    fx, fy, fz = work.forces[0], work.forces[1], work.forces[2]
    first, second = work.ends[0], work.ends[1]
    energy = xx = yy = zz = xy = xz = yz = 0.0
    for p in range(n):
        i, j = first[p], second[p]
        x, y, z = g[p] * dx[p], g[p] * dy[p], g[p] * dz[p]
        energy += e[p]
        fx[j] += x
        fy[j] += y
        fz[j] += z
        fx[i] -= x
        fy[i] -= y
        fz[i] -= z
        xx += dx[p] * x
        yy += dy[p] * y
        zz += dz[p] * z
        xy += dx[p] * y
        xz += dx[p] * z
        yz += dy[p] * z
    virial[0, 0] += xx
    virial[1, 1] += yy
    virial[2, 2] += zz
    virial[0, 1] += xy
    virial[1, 0] += xy
    virial[0, 2] += xz
    virial[2, 0] += xz
    virial[1, 2] += yz
    virial[2, 1] += yz
    return energy


@compiled
def _angles(
    n: int, strength: float, reach: float, work: Work, virial: FloatArray
) -> float:  # pragma: no cover
    """Energy of the angles at the centers of the pairs in `work`, eV; forces and virial are added.

    The pairs of a center follow each other, the center first.
    """
    first, second = work.ends[0], work.ends[1]
    bonds = work.bonds
    energy = 0.0
    p = 0
    while p < n:
        center, m = first[p], 0
        while p < n and first[p] == center:
            r = work.pairs[3, p]
            if r < reach:
                for k in range(3):
                    bonds[k, m] = np.divide(work.pairs[k, p], r)
                x = 1.0 / (r - reach)
                bonds[3, m] = r
                bonds[4, m] = math.exp(x)
                bonds[5, m] = -x * x * bonds[4, m]
                second[m] = second[p]  # this pair has had its turn
                m += 1
            p += 1
        energy += _angles_of(center, m, strength, second, bonds, work.forces, virial)
    return energy


@compiled
def _angles_of(
    center: int,
    n: int,
    strength: float,
    ligands: NDArray[np.uint32],
    bonds: FloatArray,
    forces: FloatArray,
    virial: FloatArray,
) -> float:  # pragma: no cover
    """Energy of the angles between the n bonds of a center; forces and virial are added."""
    energy = 0.0
    for a in range(n):
        for b in range(a + 1, n):
            cosine = 0.0
            for k in range(3):
                cosine += bonds[k, a] * bonds[k, b]
            bend = cosine + 1.0 / 3.0
            product = strength * bonds[4, a] * bonds[4, b]
            energy += product * bend * bend
            along_a = strength * bonds[5, a] * bonds[4, b] * bend * bend
            along_b = strength * bonds[4, a] * bonds[5, b] * bend * bend
            across_a = np.divide(2.0 * product * bend, bonds[3, a])
            across_b = np.divide(2.0 * product * bend, bonds[3, b])
            for k in range(3):
                u, v = bonds[k, a], bonds[k, b]
                on_a = -along_a * u - across_a * (v - cosine * u)
                on_b = -along_b * v - across_b * (u - cosine * v)
                forces[k, ligands[a]] += on_a
                forces[k, ligands[b]] += on_b
                forces[k, center] -= on_a + on_b
                for m in range(3):
                    virial[m, k] += bonds[m, a] * bonds[3, a] * on_a
                    virial[m, k] += bonds[m, b] * bonds[3, b] * on_b
    return energy
