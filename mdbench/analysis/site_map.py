"""Which site a point is at: the nearest within a radius, in cells of any shape and size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.msd import FloatArray
from mdbench.compiled import compiled
from mdbench.errors import InputError
from mdbench.neighbors import check_cell

IntArray = NDArray[np.int64]

#: Å, longest edge of the voxels that sites are looked up by.
_EDGE = 0.5


@dataclass(frozen=True)
class SiteMap:
    """The sites that are within reach of each voxel of a grid.

    Attributes:
        shape: (3,) voxels along each lattice vector.
        first: (n_voxels + 1,) voxel v has the candidates first[v] … first[v + 1] − 1.
        sites: (n_candidates,) which site.
        images: (n_candidates, 3) lattice vectors to the image of it that is near.
        scaled: (n_candidates, 3) fractional coordinates of that image.
        cell: (3, 3) Å, row vectors.
        radius: Å.
    """

    shape: IntArray
    first: IntArray
    sites: IntArray
    images: IntArray
    scaled: FloatArray
    cell: FloatArray
    radius: float


def site_map(scaled: FloatArray, cell: FloatArray, radius: float) -> SiteMap:
    """The map of some sites.

    Args:
        scaled: (n_sites, 3) fractional coordinates in [0, 1).
        cell: (3, 3) Å, row vectors.
        radius: Å.
    """
    if not (math.isfinite(radius) and radius > 0.0):
        raise InputError("radius of a site", expected="a length in Å", found=radius)
    _, heights = check_cell(np.asarray(cell, dtype=np.float64), radius, system=0)
    shape = np.maximum(1, np.ceil(np.linalg.norm(cell, axis=1) / _EDGE)).astype(np.int64)
    corners = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    reach = radius + float(np.linalg.norm(corners / shape @ cell, axis=1).max())
    spans = [np.arange(-n, n + 1) for n in np.ceil(reach / heights * shape).astype(int)]
    around = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)  # (K, 3)
    voxels, sites = [np.empty((0, 3), dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for site, place in enumerate(scaled):
        near = around + np.floor(place * shape).astype(np.int64)
        apart = ((near + 0.5) / shape - place) @ cell
        near = near[np.einsum("ki,ki->k", apart, apart) <= reach**2]
        voxels.append(near)
        sites.append(np.full(len(near), site))
    voxel, site_of = np.concatenate(voxels), np.concatenate(sites)
    # a voxel of another cell sees the site there as this cell's voxel sees an image of it
    images = -np.floor_divide(voxel, shape)
    flat = np.ravel_multi_index(tuple((voxel % shape).T), tuple(shape))
    order = np.argsort(flat, kind="stable")
    return SiteMap(
        shape=shape,
        first=np.searchsorted(flat[order], np.arange(shape.prod() + 1)),
        sites=site_of[order],
        images=images[order],
        scaled=(np.asarray(scaled, dtype=np.float64).reshape(-1, 3)[site_of] + images)[order],
        cell=np.ascontiguousarray(cell, dtype=np.float64),
        radius=radius,
    )


def nearest_sites(known: SiteMap, points: FloatArray) -> IntArray:
    """(n,) site that each point is at; −1 where it is at none.

    Args:
        known: The sites.
        points: (3, n) fractional coordinates, wrapped or not.
    """
    found = np.empty(points.shape[1], dtype=np.int64)
    _nearest_of_all(*unpacked(known), np.ascontiguousarray(points), found)
    return found


def unpacked(
    known: SiteMap,
) -> tuple[IntArray, IntArray, IntArray, IntArray, FloatArray, FloatArray, float]:
    """What `nearest_site` takes of a map."""
    square = known.radius**2
    return known.shape, known.first, known.sites, known.images, known.scaled, known.cell, square


@compiled
def _nearest_of_all(
    shape: IntArray,
    first: IntArray,
    sites: IntArray,
    images: IntArray,
    scaled: FloatArray,
    cell: FloatArray,
    square: float,
    points: FloatArray,
    found: IntArray,
) -> None:
    image = np.empty(3, dtype=np.int64)
    for k in range(points.shape[1]):
        a, b, c = points[0, k], points[1, k], points[2, k]
        found[k] = nearest_site(shape, first, sites, images, scaled, cell, square, a, b, c, image)


@compiled
def nearest_site(
    shape: IntArray,
    first: IntArray,
    sites: IntArray,
    images: IntArray,
    scaled: FloatArray,
    cell: FloatArray,
    square: float,
    a: float,
    b: float,
    c: float,
    image: IntArray,
) -> int:
    """The site that a point is at, −1 for none; `image` becomes the cell of that site's image.

    Args:
        shape: Of the map, and so on to cell.
        first: As above.
        sites: As above.
        images: As above.
        scaled: As above.
        cell: As above.
        square: Å², radius squared.
        a: Fractional coordinate of the point.
        b: As above.
        c: As above.
        image: (3,) is written.
    """
    cell_a, cell_b, cell_c = math.floor(a), math.floor(b), math.floor(c)
    a, b, c = a - cell_a, b - cell_b, c - cell_c
    # a coordinate just below a whole number may wrap to exactly 1
    i = min(int(a * shape[0]), shape[0] - 1)
    j = min(int(b * shape[1]), shape[1] - 1)
    k = min(int(c * shape[2]), shape[2] - 1)
    voxel = (i * shape[1] + j) * shape[2] + k
    best, found = square, -1
    for m in range(first[voxel], first[voxel + 1]):
        u, v, w = a - scaled[m, 0], b - scaled[m, 1], c - scaled[m, 2]
        x = u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
        y = u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
        z = u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
        distance = x * x + y * y + z * z
        if distance < best:
            best, found = distance, sites[m]
            image[0], image[1], image[2] = (
                cell_a + images[m, 0],
                cell_b + images[m, 1],
                cell_c + images[m, 2],
            )
    return found
