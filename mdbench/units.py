"""Units: eV, Å, fs, K, amu, e. Foreign units are converted with these factors and nowhere else.

CODATA 2018 values. A factor named ``X_IN_Y`` times a number in X gives the number in Y.
"""

BOLTZMANN_EV_PER_K = 8.617333262e-5
HARTREE_IN_EV = 27.211386245988
BOHR_IN_ANGSTROM = 0.529177210903
KCAL_PER_MOL_IN_EV = 0.043364104241800934
ATOMIC_TIME_IN_FS = 0.02418884326585747

#: 1 amu (Å/fs)² in eV: kinetic energies from velocities in Å/fs.
AMU_ANGSTROM2_PER_FS2_IN_EV = 103.642696562
#: The time unit of ASE, Å √(amu/eV), in fs.
ASE_TIME_IN_FS = AMU_ANGSTROM2_PER_FS2_IN_EV**0.5

EV_IN_MEV = 1e3
EV_PER_ANGSTROM3_IN_GPA = 160.2176634
KBAR_IN_EV_PER_ANGSTROM3 = 1.0 / (10.0 * EV_PER_ANGSTROM3_IN_GPA)
BAR_IN_EV_PER_ANGSTROM3 = KBAR_IN_EV_PER_ANGSTROM3 / 1000.0

FS_IN_PS = 1e-3
PS_IN_FS = 1e3
PS_IN_NS = 1e-3
S_IN_MS = 1e3
MINUTE_IN_S = 60.0
HOUR_IN_S = 3600.0
SECONDS_PER_DAY = 86_400.0

MB_IN_BYTES = 1_000_000
GB_IN_BYTES = 1_000_000_000

#: 1 Å²/ps in cm²/s.
ANGSTROM2_PER_PS_IN_CM2_PER_S = 1e-4
#: 1 e² cm²/s per Å³ and eV in mS/cm: conductivities from diffusivities (Nernst–Einstein).
E2_CM2_PER_S_PER_ANGSTROM3_EV_IN_MS_PER_CM = 1.602176634e8
