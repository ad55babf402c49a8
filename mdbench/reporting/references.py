"""Publications that pages cite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Authors that are listed in a line of text; BibTeX's word for more of them.
_MOST_NAMES, _OTHERS = 4, "others"


@dataclass(frozen=True)
class Reference:
    """A publication.

    Attributes:
        key: Of BibTeX.
        kind: Likewise.
        authors: Last name first; "others" at the end stands for more of them.
        title: Whole; empty where it is not certain.
        venue: Journal, or conference.
        year: None is unknown.
        volume: Of the journal.
        pages: First page, or number of the article.
        doi: Empty where it has none, or where none is certain.
        arxiv: Number of the preprint; empty where there is something better.
        place: Where it is found, if nowhere else.
    """

    key: str
    kind: Literal["article", "inproceedings", "misc"]
    authors: tuple[str, ...]
    title: str
    venue: str = ""
    year: int | None = None
    volume: str = ""
    pages: str = ""
    doi: str = ""
    arxiv: str = ""
    place: str = ""

    @property
    def text(self) -> str:
        """In one line."""
        names = [_initials_first(author) for author in self.authors]
        all_of_them = len(names) <= _MOST_NAMES and names[-1] != _OTHERS
        who = ", ".join(names) if all_of_them else f"{names[0]} et al."
        place = " ".join(part for part in (self.venue, str(self.year or "")) if part)
        numbers = [part for part in (place, self.volume, self.pages, self.place) if part]
        ends = [f"doi:{self.doi}"] if self.doi else []
        ends += [f"arXiv:{self.arxiv}"] if self.arxiv else []
        named = f"{who}: {self.title}" if self.title else who
        parts = [named, ", ".join(numbers), ", ".join(ends)]
        return ". ".join(part.removesuffix(".") for part in parts if part) + "."


def _initials_first(author: str) -> str:
    last, comma, first = author.partition(", ")
    return f"{first} {last}" if comma else last


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(";"))


_ALL = (
    Reference(
        "duangdangchote2024",
        "article",
        _listed("Duangdangchote, S.; Seferos, D. S.; Voznyy, O."),
        "",
        "Digital Discovery",
        2024,
        "3",
        "2177",
        doi="10.1039/d4dd00140k",
    ),
    Reference(
        "bullerjahn2020",
        "article",
        _listed("Bullerjahn, J. T.; von Bülow, S.; Hummer, G."),
        "Optimal estimates of self-diffusion coefficients from molecular dynamics simulations",
        "J. Chem. Phys.",
        2020,
        "153",
        "024116",
        doi="10.1063/5.0008312",
    ),
    Reference(
        "he2018",
        "article",
        _listed("He, X.; Zhu, Y.; Epstein, A.; Mo, Y."),
        "Statistical variances of diffusional properties from ab initio molecular dynamics "
        "simulations",
        "npj Comput. Mater.",
        2018,
        "4",
        "18",
        doi="10.1038/s41524-018-0074-y",
    ),
    Reference(
        "satterthwaite1946",
        "article",
        ("Satterthwaite, F. E.",),
        "An approximate distribution of estimates of variance components",
        "Biometrics Bull.",
        1946,
        "2",
        "110",
        doi="10.2307/3002019",
    ),
    Reference(
        "ong2013",
        "article",
        _listed("Ong, S. P.; Mo, Y.; Richards, W. D.; Miara, L.; Lee, H. S.; Ceder, G."),
        "Phase stability, electrochemical stability and ionic conductivity of the "
        "Li10±1MP2X12 (M = Ge, Si, Sn, Al or P, and X = O, S or Se) family of superionic "
        "conductors",
        "Energy Environ. Sci.",
        2013,
        "6",
        "148",
        doi="10.1039/c2ee23355j",
    ),
    Reference(
        "kenward1997",
        "article",
        _listed("Kenward, M. G.; Roger, J. H."),
        "Small sample inference for fixed effects from restricted maximum likelihood",
        "Biometrics",
        1997,
        "53",
        "983",
        doi="10.2307/2533558",
    ),
    Reference(
        "buchete2008",
        "article",
        _listed("Buchete, N.-V.; Hummer, G."),
        "Coarse master equations for peptide folding dynamics",
        "J. Phys. Chem. B",
        2008,
        "112",
        "6057",
        doi="10.1021/jp0761665",
    ),
    Reference(
        "kaplan1958",
        "article",
        _listed("Kaplan, E. L.; Meier, P."),
        "Nonparametric estimation from incomplete observations",
        "J. Am. Stat. Assoc.",
        1958,
        "53",
        "457",
        doi="10.1080/01621459.1958.10501452",
    ),
    Reference(
        "fay2013",
        "article",
        _listed("Fay, M. P.; Brittain, E. H.; Proschan, M. A."),
        "Pointwise confidence intervals for a survival distribution with small samples or heavy "
        "censoring",
        "Biostatistics",
        2013,
        "14",
        "723",
    ),
    Reference(
        "holm1979",
        "article",
        ("Holm, S.",),
        "A simple sequentially rejective multiple test procedure",
        "Scand. J. Stat.",
        1979,
        "6",
        "65",
    ),
    Reference(
        "zou2008",
        "article",
        _listed("Zou, G. Y.; Donner, A."),
        "Construction of confidence limits about effect measures: A general approach",
        "Stat. Med.",
        2008,
        "27",
        "1693",
        doi="10.1002/sim.3095",
    ),
    Reference(
        "woodruff1952",
        "article",
        ("Woodruff, R. S.",),
        "Confidence intervals for medians and other position measures",
        "J. Am. Stat. Assoc.",
        1952,
        "47",
        "635",
        doi="10.1080/01621459.1952.10483443",
    ),
    Reference(
        "xie2018",
        "article",
        _listed("Xie, T.; Grossman, J. C."),
        "Crystal graph convolutional neural networks for an accurate and interpretable prediction "
        "of material properties",
        "Phys. Rev. Lett.",
        2018,
        "120",
        "145301",
        doi="10.1103/PhysRevLett.120.145301",
    ),
    Reference(
        "schutt2018",
        "article",
        _listed("Schütt, K. T.; Sauceda, H. E.; Kindermans, P.-J.; Tkatchenko, A.; Müller, K.-R."),
        "SchNet – A deep learning architecture for molecules and materials",
        "J. Chem. Phys.",
        2018,
        "148",
        "241722",
        doi="10.1063/1.5019779",
    ),
    Reference(
        "gasteiger2020",
        "inproceedings",
        _listed("Gasteiger, J.; Groß, J.; Günnemann, S."),
        "Directional message passing for molecular graphs",
        "ICLR",
        2020,
        arxiv="2003.03123",
    ),
    Reference(
        "gasteiger2020fast",
        "misc",
        _listed("Gasteiger, J.; Giri, S.; Margraf, J. T.; Günnemann, S."),
        "Fast and uncertainty-aware directional message passing for non-equilibrium molecules",
        year=2020,
        arxiv="2011.14115",
    ),
    Reference(
        "thoelke2022",
        "inproceedings",
        _listed("Thölke, P.; De Fabritiis, G."),
        "TorchMD-NET: Equivariant transformers for neural network based molecular potentials",
        "ICLR",
        2022,
        arxiv="2202.02541",
    ),
    Reference(
        "zaidi2022",
        "inproceedings",
        _listed("Zaidi, S.; Schaarschmidt, M.; Martens, J.; others"),
        "Pre-training via denoising for molecular property prediction",
        "ICLR",
        2023,
        arxiv="2206.00133",
    ),
    Reference(
        "omee2022",
        "article",
        _listed("Omee, S. S.; Louis, S.-Y.; Fu, N.; Wei, L.; others"),
        "Scalable deeper graph neural networks for high-performance materials property prediction",
        "Patterns",
        2022,
        "3",
        "100491",
        doi="10.1016/j.patter.2022.100491",
    ),
    Reference(
        "louis2020",
        "article",
        _listed("Louis, S.-Y.; Zhao, Y.; Nasiri, A.; Wang, X.; Song, Y.; Liu, F.; Hu, J."),
        "Graph convolutional neural networks with global attention for improved materials property "
        "prediction",
        "Phys. Chem. Chem. Phys.",
        2020,
        "22",
        "18141",
        doi="10.1039/D0CP01474E",
    ),
    Reference(
        "zitnick2022",
        "inproceedings",
        _listed(
            "Zitnick, C. L.; Das, A.; Kolluru, A.; Lan, J.; Shuaibi, M.; Sriram, A.; Ulissi, Z.; "
            "Wood, B."
        ),
        "Spherical channels for modeling atomic interactions",
        "NeurIPS",
        2022,
        arxiv="2206.14331",
    ),
    Reference(
        "passaro2023",
        "inproceedings",
        _listed("Passaro, S.; Zitnick, C. L."),
        "Reducing SO(3) convolutions to SO(2) for efficient equivariant GNNs",
        "ICML",
        2023,
        arxiv="2302.03655",
    ),
    Reference(
        "hu2021",
        "misc",
        _listed("Hu, W.; Shuaibi, M.; Das, A.; others"),
        "ForceNet: A graph neural network for large-scale quantum calculations",
        year=2021,
        arxiv="2103.01436",
    ),
    Reference(
        "liao2022",
        "inproceedings",
        _listed("Liao, Y.-L.; Smidt, T."),
        "Equiformer: Equivariant graph attention transformer for 3D atomistic graphs",
        "ICLR",
        2023,
        arxiv="2206.11990",
    ),
    Reference(
        "du2023",
        "inproceedings",
        _listed("Du, W.; Du, Y.; Wang, L.; Feng, D.; Wang, G.; others"),
        "A new perspective on building efficient and expressive 3D equivariant graph neural "
        "networks",
        "NeurIPS",
        2023,
        arxiv="2304.04757",
    ),
    Reference(
        "deng2023",
        "article",
        _listed("Deng, B.; others"),
        "CHGNet as a pretrained universal neural network potential for charge-informed atomistic "
        "modelling",
        "Nat. Mach. Intell.",
        2023,
        "5",
        "1031",
        doi="10.1038/s42256-023-00716-3",
    ),
    Reference(
        "park2024",
        "article",
        _listed("Park, Y.; Kim, J.; Hwang, S.; Han, S."),
        "Scalable parallel algorithm for graph neural network interatomic potentials in molecular "
        "dynamics simulations",
        "J. Chem. Theory Comput.",
        2024,
        "20",
        "4857",
        doi="10.1021/acs.jctc.4c00190",
    ),
    Reference(
        "batatia2022",
        "inproceedings",
        _listed("Batatia, I.; Kovács, D. P.; Simm, G.; Ortner, C.; Csányi, G."),
        "MACE: Higher order equivariant message passing neural networks for fast and accurate "
        "force fields",
        "NeurIPS",
        2022,
        arxiv="2206.07697",
    ),
    Reference(
        "martyna1996",
        "article",
        _listed("Martyna, G. J.; Tuckerman, M. E.; Tobias, D. J.; Klein, M. L."),
        "Explicit reversible integrators for extended systems dynamics",
        "Mol. Phys.",
        1996,
        "87",
        "1117",
        doi="10.1080/00268979600100761",
    ),
    Reference(
        "bussi2007",
        "article",
        _listed("Bussi, G.; Donadio, D.; Parrinello, M."),
        "Canonical sampling through velocity rescaling",
        "J. Chem. Phys.",
        2007,
        "126",
        "014101",
        doi="10.1063/1.2408420",
    ),
    Reference(
        "leimkuhler2013",
        "article",
        _listed("Leimkuhler, B.; Matthews, C."),
        "Robust and efficient configurational molecular sampling via Langevin dynamics",
        "J. Chem. Phys.",
        2013,
        "138",
        "174102",
        doi="10.1063/1.4802990",
    ),
    Reference(
        "swope1982",
        "article",
        _listed("Swope, W. C.; Andersen, H. C.; Berens, P. H.; Wilson, K. R."),
        "A computer simulation method for the calculation of equilibrium constants for the "
        "formation of physical clusters of molecules: Application to small water clusters",
        "J. Chem. Phys.",
        1982,
        "76",
        "637",
        doi="10.1063/1.442716",
    ),
    Reference(
        "kresse1996",
        "article",
        _listed("Kresse, G.; Furthmüller, J."),
        "Efficient iterative schemes for ab initio total-energy calculations using a plane-wave "
        "basis set",
        "Phys. Rev. B",
        1996,
        "54",
        "11169",
        doi="10.1103/PhysRevB.54.11169",
    ),
    Reference(
        "kuehne2020",
        "article",
        _listed("Kühne, T. D.; others"),
        "CP2K: An electronic structure and molecular dynamics software package – Quickstep: "
        "Efficient and accurate electronic structure calculations",
        "J. Chem. Phys.",
        2020,
        "152",
        "194103",
        doi="10.1063/5.0007045",
    ),
    Reference(
        "thompson2022",
        "article",
        _listed("Thompson, A. P.; others"),
        "LAMMPS – a flexible simulation tool for particle-based materials modeling at the atomic, "
        "meso, and continuum scales",
        "Comput. Phys. Commun.",
        2022,
        "271",
        "108171",
        doi="10.1016/j.cpc.2021.108171",
    ),
    Reference(
        "larsen2017",
        "article",
        _listed("Hjorth Larsen, A.; Jørgen Mortensen, J.; Blomqvist, J.; others"),
        "The atomic simulation environment – a Python library for working with atoms",
        "J. Phys.: Condens. Matter",
        2017,
        "29",
        "273002",
        doi="10.1088/1361-648X/aa680e",
    ),
    Reference(
        "kamaya2011",
        "article",
        _listed("Kamaya, N.; others"),
        "A lithium superionic conductor",
        "Nat. Mater.",
        2011,
        "10",
        "682",
        doi="10.1038/nmat3066",
    ),
    Reference(
        "homma2011",
        "article",
        _listed("Homma, K.; others"),
        "",
        "Solid State Ionics",
        2011,
        "182",
        "53",
    ),
    Reference(
        "therrien2025",
        "misc",
        _listed("Therrien, F.; others"),
        "OBELiX: A curated dataset of crystal structures and experimentally measured ionic "
        "conductivities for lithium solid-state electrolytes",
        year=2025,
        arxiv="2502.14234",
    ),
)
#: All of them by key.
REFERENCES = {reference.key: reference for reference in _ALL}
