"""Markov random fields and pedigrees, dense: against mgcv, a density, and textbooks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.eigensplit import fit_mixed
from mixedsmooth.derivations.markov_field import (
    borrow,
    components,
    conditional,
    laplacian,
    mendel,
    relationship,
    relationship_by_recursion,
    relationship_inverse,
)

FloatArray = NDArray[np.float64]
TERMS = Path(__file__).parent / "reference" / "terms.json"

PAIRS = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "f")]
# Mrode (2014), example 2.1: six animals, of which 5 and 6 have relatives for parents
MRODE = [
    (1, None, None),
    (2, None, None),
    (3, 1, 2),
    (4, 1, None),
    (5, 4, 3),
    (6, 5, 2),
]


def columbus() -> tuple[FloatArray, FloatArray, FloatArray]:
    data = ms.load_columbus()
    levels, Q = laplacian(data.pairs)
    Z = (np.asarray(data.district)[:, None] == levels).astype(float)
    return np.asarray(data.crime), Z, Q


# ---- fields ----


def test_the_penalty_is_that_of_differences() -> None:
    levels, Q = laplacian(PAIRS)
    b = np.random.default_rng(0).normal(size=6)
    value = dict(zip(levels, b, strict=True))
    assert_allclose(b @ Q @ b, sum((value[i] - value[j]) ** 2 for i, j in PAIRS))


def test_pairs_count_once() -> None:
    again = [*PAIRS, ("b", "a"), ("a", "b")]
    assert_allclose(laplacian(again)[1], laplacian(PAIRS)[1], rtol=0, atol=0)


def test_the_null_space_is_constant_on_components() -> None:
    _, Q = laplacian(PAIRS)
    component = components(Q)
    assert component.tolist() == [0, 0, 0, 0, 1, 1]
    assert np.linalg.matrix_rank(Q) == 4
    assert_allclose(Q @ np.eye(2)[component], 0.0, atol=0)


def test_conditional_means_are_those_of_the_joint_density() -> None:
    _, Q = laplacian(PAIRS)
    b, tau = np.random.default_rng(1).normal(size=6), 0.7
    mean, variance = conditional(b, Q, tau)

    def log_density(i: int, value: float) -> float:
        moved = np.where(np.arange(6) == i, value, b)
        return float(-moved @ Q @ moved / (2 * tau**2))

    for i in range(6):
        # log p is a square in b_i: its top and its curvature from three values
        down, top, up = (log_density(i, mean[i] + step) for step in (-0.5, 0.0, 0.5))
        assert_allclose(down, up, rtol=1e-12)
        assert_allclose(2 * top - down - up, 0.25 / variance[i], rtol=1e-10)


def test_columbus_is_mgcvs() -> None:
    # mgcv 1.8.41: gam(crime ~ s(district, bs = "mrf", xt = list(polys = columb.polys)),
    # method = "REML"), to the digits of its default tolerance
    mgcv = json.loads(TERMS.read_text(encoding="utf-8"))["columbus"]["mrf"]
    y, Z, Q = columbus()
    fit = fit_mixed(y, Z, Q, "REML")
    # The free column is 1 / sqrt(49) here and 1 in mgcv: X_F = X / 7, so that the criterion of X
    # is larger by 2 log 7. mgcv's -REML is half of it.
    assert_allclose((fit.criterion + 2 * np.log(7)) / 2, mgcv["reml"], rtol=1e-9)
    assert_allclose(fit.edf - 1, 25.945308, rtol=2e-5)
    assert_allclose(fit.sigma**2, 82.567062, rtol=2e-5)
    assert_allclose(fit.fitted, mgcv["fitted"], atol=2e-5 * float(np.std(y)))


def test_borrowing_is_the_fit_at_its_strength() -> None:
    y, Z, Q = columbus()
    fit = fit_mixed(y, Z, Q, "REML")
    f, edf = borrow(y, Z, Q, fit.lam)
    assert_allclose(Z @ f, fit.fitted, rtol=1e-9)
    assert_allclose(edf, fit.edf, rtol=1e-9)


def test_borrowing_goes_from_own_means_to_that_of_the_component() -> None:
    _, Q = laplacian(PAIRS)
    Z = np.repeat(np.eye(6), [1, 2, 3, 1, 1, 1], axis=0)
    y = np.random.default_rng(2).normal(size=9)
    own, edf = borrow(y, Z, Q, 0.0)
    assert_allclose(own, Z.T @ y / Z.sum(axis=0))
    assert_allclose(edf, 6)
    together, edf = borrow(y, Z, Q, 1e9)
    assert_allclose(together, np.repeat([y[:7].mean(), y[7:].mean()], [4, 2]), rtol=1e-6)
    assert_allclose(edf, 2, rtol=1e-6)


# ---- pedigrees ----


def test_relationships_of_a_textbook() -> None:
    # Mrode (2014), Linear Models for the Prediction of Animal Breeding Values, example 2.1
    A = [
        [1.0, 0.0, 0.5, 0.5, 0.5, 0.25],
        [0.0, 1.0, 0.5, 0.0, 0.25, 0.625],
        [0.5, 0.5, 1.0, 0.25, 0.625, 0.5625],
        [0.5, 0.0, 0.25, 1.0, 0.625, 0.3125],
        [0.5, 0.25, 0.625, 0.625, 1.125, 0.6875],
        [0.25, 0.625, 0.5625, 0.3125, 0.6875, 1.125],
    ]
    assert_allclose(relationship(MRODE), A, rtol=1e-14)
    assert_allclose(relationship_by_recursion(MRODE), A, rtol=1e-14)
    _, _, D = mendel(MRODE)
    assert_allclose(D, [1, 1, 0.5, 0.75, 0.5, 0.5 - 0.125 / 4])


def random_pedigree(n: int, seed: int) -> list[tuple[int, int | None, int | None]]:
    rng = np.random.default_rng(seed)

    def parent(i: int) -> int | None:
        chosen = int(rng.integers(-2, max(i, 1)))  # both may be the same
        return chosen if 0 <= chosen < i else None

    return [(i, parent(i), parent(i)) for i in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_three_ways_to_a_relationship(seed: int) -> None:
    pedigree = random_pedigree(30, seed)
    A = relationship(pedigree)
    assert_allclose(relationship_by_recursion(pedigree), A, rtol=1e-12)
    assert_allclose(relationship_inverse(pedigree) @ A, np.eye(30), atol=1e-9)


def test_an_inverse_by_rules_is_sparse() -> None:
    pedigree = random_pedigree(60, 1)
    touched = relationship_inverse(pedigree) != 0
    assert touched.sum() <= 60 + 6 * 60
    assert (relationship(pedigree) != 0).sum() > 1200


# ---- bad input ----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: laplacian(["a", "b"]), "two columns"),
        (lambda: laplacian([["a", "a"]]), "a as a neighbor of itself"),
        (lambda: laplacian([[i, i + 1] for i in range(2001)]), "2002 labels"),
        (lambda: conditional([1, 2], np.zeros((2, 2)), 1.0), "node 0 without a neighbor"),
        (lambda: conditional([1, 2], [[1, -1], [-1, 1]], 0.0), "tau"),
        (lambda: borrow([1, 2], np.eye(2), [[1, -1], [-1, 1]], -1), "lam"),
        (lambda: borrow([1.0], [[1, 0]], np.zeros((2, 2)), 1), "a component has no row"),
        (lambda: mendel([("c", "a", None)]), "c before its parent a"),
        (lambda: mendel([("a", None, None)] * 2), "a twice"),
        (lambda: relationship([(i, None, None) for i in range(2001)]), "2001 animals"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
