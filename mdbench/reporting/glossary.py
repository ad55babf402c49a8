"""The words of a report, each in a sentence or two; docs/definitions.md has the formulas."""

from __future__ import annotations

from mdbench.reporting.markup import heading, section, text

#: Term and meaning, in the order in which a page uses them.
GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "MLFF",
        "Machine-learning force field: a model that predicts the energy of a structure and the "
        "forces on its atoms, trained on energies and forces of a reference method.",
    ),
    (
        "reference",
        "The dynamics that models are held against: ab initio molecular dynamics of your own, or "
        "those of an embedded toy potential, which are marked as synthetic.",
    ),
    ("replica", "One of several runs of the same material at the same temperature."),
    (
        "MAE, R²",
        "Mean absolute error; and the coefficient of determination, the share of the variance of "
        "the reference that predictions explain: 1 is perfect, 0 no better than the mean.",
    ),
    (
        "transfer",
        "A test on a material that the model was not trained on.",
    ),
    (
        "test and near frames",
        "Test frames lie in blocks of time that were held out whole. Near frames lie moments away "
        "from training frames, as those of a random split do, and flatter a model that has "
        "learned them by heart.",
    ),
    (
        "RDF, g(r)",
        "Radial distribution function: the density of atoms at distance r from an atom, over the "
        "mean density. It is the structure that the dynamics keeps up.",
    ),
    (
        "rdf_mae",
        "Mean over all distances up to r_max of |g of the model − g of the reference|. The paper "
        "calls a model stable where it is below 0.02.",
    ),
    (
        "noise floor",
        "The rdf_mae that a perfect model would show at this amount of data, since two runs of "
        "the same force field differ, too: its expectation, and the 95 % quantile that chance "
        "exceeds once in twenty times.",
    ),
    (
        "interval",
        "All intervals are of 95 %: repeated benchmarks would cover the truth in nineteen of "
        "twenty cases.",
    ),
    (
        "stable, unstable",
        "Stable: the whole interval of rdf_mae is below the threshold. Unstable: it is above both "
        "the threshold and the noise floor, or runs exploded, fused atoms or drifted.",
    ),
    (
        "indistinguishable",
        "The difference from the reference is no larger than noise. Nothing speaks against the "
        "model at this amount of data, and nothing proves it right.",
    ),
    (
        "undecided",
        "There is a difference beyond noise, and the data do not tell on which side of the "
        "threshold it lies. The report says how much more data would.",
    ),
    (
        "not resolved",
        "The data do not support a value. Where they exclude large ones, a bound stands instead, "
        "as in “< 0.5”; where they do not tell two models apart, both share a range of ranks.",
    ),
    (
        "exploded, fusion, drift, lattice mismatch, frozen",
        "How runs fail: atoms or energies out of all bounds; two atoms closer than they ever come "
        "in the reference; the whole cell moves; the framework leaves its sites or changes its "
        "size, as a melt does; ions stand still that move in the reference.",
    ),
    (
        "survival",
        "The share of replicas that are still sound after a time, by Kaplan and Meier. Replicas "
        "that end sound are censored: they count for as long as they ran.",
    ),
    (
        "MSD",
        "Mean squared displacement of the mobile ions in the frame of all other atoms, averaged "
        "over all starting times.",
    ),
    ("D", "Tracer diffusivity: a sixth of the slope of the MSD against time."),
    (
        "σ, Nernst–Einstein",
        "Ionic conductivity, computed from D as if ions moved without regard to each other.",
    ),
    (
        "Haven ratio",
        "Tracer over collective diffusivity; below 1 where ions push each other on.",
    ),
    (
        "Arrhenius line",
        "The straight line of ln D against 1/T. Its slope is the activation energy; its "
        "continuation gives the conductivity at room temperature.",
    ),
    (
        "amplification",
        "How many times an error of ln D at the simulated temperatures grows on the way to the "
        "temperature of interest.",
    ),
    (
        "bound, censored",
        "Where too few hops were seen, there is an upper limit of D instead of a value. It enters "
        "the Arrhenius line as what it is, a censored observation.",
    ),
    (
        "usual recipe",
        "What papers mostly do: slopes of the MSD by pymatgen, and a line without weights. It has "
        "no honest intervals and stands beside ours for comparison.",
    ),
    (
        "audit",
        "Measurements of what a force field claims: that its energy does not change when the "
        "structure is moved, turned, mirrored or renumbered, and more.",
    ),
    (
        "conservative, direct",
        "Conservative: forces are the derivatives of an energy. Direct: forces are predicted on "
        "their own, and a closed path may give or take energy.",
    ),
    (
        "E(3), SE(3), E(3)-equivariant",
        "Symmetries that a model has by construction: its energy does not change under "
        "translations, rotations and reflections (E(3)), or not under the first two (SE(3)).",
    ),
    (
        "rank",
        "The place among the models of a material, as far as intervals tell them apart.",
    ),
    (
        "Spearman’s ρ",
        "Correlation of ranks: 1 where a larger error of one kind always comes with a larger "
        "error of the other, 0 where they have nothing to do with each other.",
    ),
    ("ns/day", "Nanoseconds of dynamics of one system that a day of computing makes."),
    (
        "sha256",
        "Checksum of a file: two files with the same one have the same content.",
    ),
)


def glossary_html() -> str:
    """The words as a list."""
    entries = "".join(
        f"<dt>{text(term)}</dt><dd>{text(meaning)}</dd>\n" for term, meaning in GLOSSARY
    )
    return section("glossary", [heading("Glossary"), f"<dl>\n{entries}</dl>"])
