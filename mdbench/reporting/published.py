"""What the paper of the benchmark states: S. Duangdangchote, D. S. Seferos, O. Voznyy.

Digital Discovery 2024, 3, 2177, doi:10.1039/d4dd00140k. Its Table 1 is here whole but for what it
says of the symmetry of AIMD. Of its Table 2 only one number is at hand: that of AIMD for LGPS.
None stands for a number that is not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "Digital Discovery 2024, 3, 2177"
DOI = "10.1039/d4dd00140k"
#: What it measured speeds on.
GPU = "RTX 4090"


@dataclass(frozen=True)
class PublishedModel:
    """A row of Table 1.

    Attributes:
        name: As the paper writes it.
        symmetry: That it claims for the model.
        parameters_in_millions: Number of parameters, 10⁶.
        n_epochs: Epochs of 30,000 frames in ten hours.
        ns_per_day: Molecular dynamics on `GPU`, ns/day.
    """

    name: str
    symmetry: str
    parameters_in_millions: float
    n_epochs: int
    ns_per_day: float


#: Table 1, the force fields.
TABLE_1 = (
    PublishedModel("CGCNN", "E(3)", 0.25, 70, 45.0),
    PublishedModel("SchNet", "E(3)", 0.49, 48, 22.5),
    PublishedModel("DimeNet", "E(3)", 1.11, 5, 1.4),
    PublishedModel("DimeNet++", "E(3)", 1.49, 17, 6.0),
    PublishedModel("GNS-TAT", "E(3)", 1.97, 28, 10.0),
    PublishedModel("DeeperGATGNN", "E(3)", 0.22, 19, 30.0),
    PublishedModel("SCN", "SO(3)", 20.44, 5, 2.8),
    PublishedModel("eSCN", "SO(2)", 34.28, 5, 8.1),
    PublishedModel("ForceNet", "translation", 11.37, 20, 25.7),
    PublishedModel("Equiformer", "SE(3)/E(3)", 7.84, 14, 3.0),
    PublishedModel("LeftNet", "SE(3)/E(3)", 2.12, 25, 11.3),
)
#: Table 1, AIMD: ns/day.
AIMD_NS_PER_DAY = 0.034

#: Materials of Table 2, and its temperature, K.
MATERIALS = ("lgps", "li3ps4", "li4ges4")
AT_K = 300.0
#: Table 2, −log10 of the conductivity in mS/cm, of AIMD by material.
AIMD_MINUS_LOG10 = {"lgps": -1.41}


def published_model(name: str) -> PublishedModel | None:
    """The row of Table 1 on an architecture, by its name in full size: `schnet`, `cgcnn:published`.

    Case, dashes, underscores and the variant do not matter.
    """
    wanted = _plain(name.replace("@", ":").partition(":")[0])
    return next((each for each in TABLE_1 if _plain(each.name) == wanted), None)


def aimd_minus_log10(material: str) -> float | None:
    """−log10 of the conductivity in mS/cm at 300 K by AIMD, Table 2."""
    return AIMD_MINUS_LOG10.get(_plain(material))


def in_table_2(material: str) -> bool:
    """Whether Table 2 has a column of the material."""
    return _plain(material) in MATERIALS


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
