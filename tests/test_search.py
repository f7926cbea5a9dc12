"""The search misses no optimum: no start finds a better one than the default.

These are fits of ``bench/search.py``, which runs all 1,200.
"""

import numpy as np
import pytest
from bench.search import COUNTS, KINDS, count_problem, linear_problem, look

import mixedsmooth as ms

SEED = 1

# fmt: off
# A search from one start missed the optimum of these.
MISSED = (
    6, 15, 21, 32, 39, 42, 49, 53, 66, 72, 98, 101, 104, 108, 152, 169, 174, 177, 199, 203, 208,
    220, 222, 234, 241, 252, 269, 270, 277, 290, 293, 304, 324, 333, 357, 387, 393, 394, 405,
    429, 447, 458, 469, 470, 499, 507, 510, 517, 528, 531, 536, 554, 557, 559, 560, 565, 568,
    572, 576, 591, 594, 602, 618, 637, 640, 641, 645, 655, 665, 677, 693, 708, 723, 732, 750,
    776, 794, 798, 805, 817, 834, 837, 843, 851, 859, 860, 861, 865, 895, 909, 976, 986, 1000,
    1013, 1022, 1028, 1063, 1074, 1081, 1101, 1124, 1126, 1133, 1136, 1141, 1148, 1171, 1174,
    1178, 1184, 1194, 1196,
)
MISSED_COUNTS = (2, 24, 38, 39, 41, 46, 169)
# fmt: on
NUMBERS = sorted({*range(48), *MISSED})


def test_a_curve_behind_a_flat_shoulder() -> None:
    # mgcv 1.9 and gamm4 find this optimum
    i = np.arange(20)
    x = i / 19
    y = np.sin(4 * np.pi * x) + 0.1 * np.cos(37 * i)
    fit = ms.lmm(y, ms.smooth(x=x))
    assert fit.converged
    assert fit.criterion == pytest.approx(-34.202, abs=5e-4)
    assert sum(fit.edf.values()) == pytest.approx(10.0, abs=0.05)


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS))
def test_no_start_finds_a_better_optimum(kind: str) -> None:
    numbers = [number for number in NUMBERS if KINDS[number % len(KINDS)] == kind]
    outcomes = [look(linear_problem(number, SEED)) for number in numbers]
    assert [str(outcome) for outcome in outcomes if outcome.worse] == []
    # a start may end without an optimum, where a variance grows without bounds; few do
    assert sum(outcome.refused for outcome in outcomes) < len(outcomes)
    assert all(outcome.others for outcome in outcomes)


@pytest.mark.parametrize("family", COUNTS)
def test_no_start_finds_a_better_optimum_of_counts(family: str) -> None:
    numbers = [n for n in {*range(2), *MISSED_COUNTS} if COUNTS[n % len(COUNTS)] == family]
    outcomes = [look(count_problem(number, SEED)) for number in numbers]
    assert [str(outcome) for outcome in outcomes if outcome.worse] == []
    assert all(outcome.others for outcome in outcomes)
