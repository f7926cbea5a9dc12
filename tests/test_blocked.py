"""The blocked factorization: against the dense derivation, and form against form.

The models are drawn at random by seed: one to three factors, nested and crossed, intercepts and
slopes, weights, units from 1e-6 to 1e6, and values of theta on the boundary.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.henderson import conditional_covariance
from mixedsmooth.derivations.penalized_ls import (
    PenalizedSolution,
    profiled_deviance,
    solve_penalized,
)
from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.model import blocked
from mixedsmooth.model.blocked import Blocks, Pairs, Products, SparseBlocks, cross_products
from mixedsmooth.model.covariance import Covariance, Diagonal, Full, pack, pack_slopes, unpack
from mixedsmooth.model.engine import Factor, Shape
from mixedsmooth.model.fit import Method
from mixedsmooth.model.terms import Term

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Grouping:
    """One random-effects term: its labels, its slopes by name, and the T that made the data."""

    name: str
    codes: NDArray[np.intp]
    levels: int
    intercept: bool
    slopes: tuple[str, ...]
    correlated: bool
    T: FloatArray


@dataclass(frozen=True)
class RandomModel:
    """A mixed model drawn at random, for the engine and for the dense derivation."""

    seed: int
    y: FloatArray
    intercept: bool
    columns: dict[str, FloatArray]
    units: dict[str, float]
    groupings: tuple[Grouping, ...]
    weights: FloatArray | None

    @property
    def X(self) -> FloatArray:  # noqa: N802
        """Intercept and covariates."""
        ones = [np.ones(len(self.y))] if self.intercept else []
        return np.column_stack([*ones, *self.columns.values()])

    def effects(self, g: Grouping) -> tuple[FloatArray, ...]:
        """Return what the effects of a level multiply."""
        ones = [np.ones(len(self.y))] if g.intercept else []
        return (*ones, *(self.columns[name] for name in g.slopes))

    @property
    def Z(self) -> FloatArray:  # noqa: N802
        """All columns, those of a level beside each other."""
        return np.column_stack(
            [
                np.where(g.codes == level, effect, 0.0)
                for g in self.groupings
                for level in range(g.levels)
                for effect in self.effects(g)
            ]
        )

    @property
    def shapes(self) -> list[Shape]:
        """What theta needs to know of the terms."""
        return [
            Shape(g.levels, (Full if g.correlated else Diagonal)(len(g.T))) for g in self.groupings
        ]

    @property
    def covariances(self) -> list[Covariance]:
        """Which entries of each T are parameters."""
        return [shape.covariance for shape in self.shapes]

    @property
    def scale(self) -> FloatArray:
        """What one is in theta, whose entries have the unit of one over their covariate."""
        T = []
        for g in self.groupings:
            unit = [1.0] * g.intercept + [1 / self.units[name] for name in g.slopes]
            T.append(np.repeat(np.array(unit)[:, None], len(unit), axis=1))
        return pack(T, self.covariances)

    def Lambda(self, theta: FloatArray) -> FloatArray:  # noqa: N802
        """Return the block diagonal matrix of all T."""
        T = unpack(theta, self.covariances)
        return np.asarray(
            scipy.linalg.block_diag(
                *(np.kron(np.eye(g.levels), T_f) for g, T_f in zip(self.groupings, T, strict=True))
            ),
            dtype=np.float64,
        )

    @property
    def weighted(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows of y, X and Z times the root of their weights."""
        root = np.ones(len(self.y)) if self.weights is None else np.sqrt(self.weights)
        return root * self.y, root[:, None] * self.X, root[:, None] * self.Z

    def dense(self, theta: FloatArray, method: Method) -> float:
        """Return the criterion by the dense derivation."""
        y, X, Z = self.weighted
        criterion = profiled_deviance if method == "ML" else restricted_deviance
        log_weights = 0.0 if self.weights is None else float(np.log(self.weights).sum())
        return criterion(self.Lambda(theta), y, X, Z) - log_weights

    def dense_solution(self, theta: FloatArray) -> PenalizedSolution:
        """Return beta, u and r2 by the dense derivation."""
        y, X, Z = self.weighted
        return solve_penalized(y, X, Z, self.Lambda(theta))

    @property
    def cross_products(self) -> Products:
        """All that the engine keeps of the data, in the units of the user."""
        factors = [
            Factor(g.codes, self.effects(g), shape)
            for g, shape in zip(self.groupings, self.shapes, strict=True)
        ]
        return cross_products(factors, self.X, self.y, self.weights)

    @property
    def terms(self) -> list[Term]:
        """The model as a user writes it."""
        groups = []
        for g in self.groupings:
            slopes = {name: self.columns[name] for name in g.slopes}
            groups.append(
                ms.group(
                    correlated=g.correlated, intercept=g.intercept, **{g.name: g.codes}, **slopes
                )
            )
        return [ms.linear(intercept=self.intercept, **self.columns), *groups]


def random_model(seed: int) -> RandomModel:
    """Draw a model: its kind, its sizes, its units, and data from it."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 80))
    balanced = rng.random() < 0.3
    intercept = rng.random() < 0.8
    names = ["u", "v"][: rng.integers(0 if intercept else 1, 3)]
    units = {name: 10.0 ** rng.uniform(-6, 6) for name in names}
    columns = {name: units[name] * (rng.normal() + rng.normal(size=n)) for name in names}
    weights = rng.uniform(0.2, 5, size=n) if rng.random() < 0.4 else None
    groupings: list[Grouping] = []
    for name in "fgh"[: rng.integers(1, 4)]:
        slopes = tuple(x for x in names if rng.random() < 0.5)
        with_intercept = not slopes or rng.random() < 0.8
        k = with_intercept + len(slopes)
        m = int(rng.integers(3, 1 + n // (2 * k + 1)))
        codes = rng.permutation(n) % m if balanced else rng.integers(0, m, size=n)
        if groupings and rng.random() < 0.4:  # nested in the first factor
            codes = groupings[0].codes * 2 + codes % 2
        present, codes = np.unique(codes, return_inverse=True)
        if len(present) * k >= n:
            codes = codes % (n // (2 * k))
            present, codes = np.unique(codes, return_inverse=True)
        correlated = bool(rng.random() < 0.6)
        T = np.tril(rng.normal(size=(k, k))) if correlated else np.diag(rng.normal(size=k))
        T[:, rng.random(k) < 0.3] = 0.0
        groupings.append(
            Grouping(name, codes, len(present), bool(with_intercept), slopes, correlated, T)
        )
    model = RandomModel(seed, np.zeros(n), intercept, columns, units, tuple(groupings), weights)
    # y from the model itself: theta in units of one over the covariate
    theta = model.scale * pack([g.T for g in groupings], model.covariances)
    b = model.Lambda(theta) @ rng.normal(size=model.Z.shape[1])
    noise = rng.normal(size=n) / (1.0 if weights is None else np.sqrt(weights))
    fixed = sum((x / units[name] for name, x in columns.items()), np.full(n, 2.0 * intercept))
    y = 10.0 ** rng.uniform(-6, 6) * (fixed + model.Z @ b + noise)
    return replace(model, y=y)


def random_theta(model: RandomModel) -> FloatArray:
    """Draw a theta, every third with zeros on the diagonal."""
    rng = np.random.default_rng([model.seed, 1])
    T = [np.tril(rng.normal(size=g.T.shape)) for g in model.groupings]
    if model.seed % 3 == 0:
        for matrix in T:
            zero = rng.random(len(matrix)) < 0.5
            matrix[zero, zero] = 0.0
            if rng.random() < 0.3:
                matrix[:] = 0.0
    return model.scale * pack(T, model.covariances)


SEEDS = range(240)
MODELS = [random_model(seed) for seed in SEEDS]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.seed))


def method_of(model: RandomModel) -> Literal["REML", "ML"]:
    return "REML" if model.seed // 2 % 2 else "ML"


def test_the_models_are_of_all_kinds() -> None:
    assert len(MODELS) >= 200
    for number in (1, 2, 3):
        assert sum(len(m.groupings) == number for m in MODELS) > 50
        assert sum(len(g.T) == number for m in MODELS for g in m.groupings) > 30
    assert sum(m.weights is not None for m in MODELS) > 60
    assert sum(not m.intercept for m in MODELS) > 30
    assert sum(not g.intercept for m in MODELS for g in m.groupings) > 20
    assert sum(not g.correlated for m in MODELS for g in m.groupings if len(g.T) > 1) > 40
    assert sum(bool(np.any(random_theta(m) == 0)) for m in MODELS) > 60
    units = [unit for m in MODELS for unit in m.units.values()]
    assert min(units) < 1e-5
    assert max(units) > 1e5


# ---- the dense derivation ----


@every_model
def test_the_criterion_is_that_of_the_dense_derivation(model: RandomModel) -> None:
    A, theta = model.cross_products, random_theta(model)
    f = A.factorize(unpack(theta, A.covariances))
    # both stand on the cross-products: an error of 1e-8 in r2 would be one of n 1e-8
    for method in ("ML", "REML"):
        expected = model.dense(theta, method)
        assert_allclose(f.deviance(method == "REML"), expected, rtol=1e-9, atol=1e-9)


@every_model
def test_the_gradient_is_the_slope_of_the_dense_derivation(model: RandomModel) -> None:
    A, theta, scale, method = (
        model.cross_products,
        random_theta(model),
        model.scale,
        method_of(model),
    )
    f = A.factorize(unpack(theta, A.covariances))
    ours = scale * pack_slopes(f.gradient(method == "REML"), A.covariances)
    # Along two random directions, by five points: the error is of the order of h^4, and of the
    # rounding of the criterion over h.
    h = 1e-3
    for direction in np.random.default_rng([model.seed, 2]).normal(size=(2, len(theta))):
        far, near = (
            model.dense(theta + step, method) - model.dense(theta - step, method)
            for step in (2 * h * scale * direction, h * scale * direction)
        )
        slope = (8 * near - far) / (12 * h)
        tolerance = 1e-6 * max(1.0, float(np.abs(ours) @ np.abs(direction)))
        assert_allclose(ours @ direction, slope, rtol=0, atol=tolerance)


@every_model
def test_the_solution_is_that_of_the_dense_derivation(model: RandomModel) -> None:
    A, theta = model.cross_products, random_theta(model)
    f = A.factorize(unpack(theta, A.covariances))
    beta, u = f.solve()
    dense = model.dense_solution(theta)
    assert_allclose(beta, dense.beta, rtol=1e-8, atol=1e-9 * np.abs(dense.beta).max())
    ours = np.concatenate([effects.ravel() for effects in u])
    assert_allclose(ours, dense.u, rtol=1e-8, atol=1e-9 * np.abs(dense.u).max())
    assert_allclose(f.r2, dense.r2, rtol=1e-9)
    # log|X' V^-1 X| is relative to the units of X: the zero of a logarithm means nothing
    assert_allclose(f.log_det_Z, dense.log_det_Z, rtol=1e-10, atol=1e-11)
    assert_allclose(f.log_det_X, dense.log_det_X, rtol=1e-10, atol=1e-10)


@every_model
def test_degrees_of_freedom_are_traces(model: RandomModel) -> None:
    A, theta = model.cross_products, random_theta(model)
    f = A.factorize(unpack(theta, A.covariances))
    _, X, Z = model.weighted
    scaled = Z @ model.Lambda(theta)
    X = X / np.linalg.norm(X, axis=0)
    for reml in (False, True):
        # the diagonal of (D'D + P)^-1 D'D, with P the penalty I on u
        D = np.column_stack([scaled, X]) if reml else scaled
        q = Z.shape[1]
        P = np.diag(np.arange(D.shape[1]) < q).astype(float)
        diagonal = np.diag(np.linalg.solve(D.T @ D + P, D.T @ D))[:q]
        at = 0
        for found, g in zip(f.degrees_of_freedom(reml), model.groupings, strict=True):
            k = len(g.T)
            expected = diagonal[at : at + g.levels * k].reshape(g.levels, k).sum(axis=0)
            assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
            at += g.levels * k


def test_the_gradient_vanishes_where_a_whole_t_is_zero() -> None:
    # the criterion is even in every column of T
    model = MODELS[0]
    A = model.cross_products
    f = A.factorize([np.zeros_like(g.T) for g in model.groupings])
    for slopes in f.gradient(reml=True):
        assert_array_equal(slopes, np.zeros_like(slopes))


@pytest.mark.parametrize("seed", range(0, 240, 8))
@pytest.mark.parametrize("reml", [False, True])
def test_looking_leaves_the_factorization_alone(seed: int, reml: bool) -> None:
    A, theta = MODELS[seed].cross_products, random_theta(MODELS[seed])
    f = A.factorize(unpack(theta, A.covariances))
    L, reduced = f.L.copy(), f.reduced.copy()
    f.gradient(reml)
    f.degrees_of_freedom(reml)
    f.solve()
    assert_array_equal(f.L, L)
    assert_array_equal(f.reduced, reduced)


def test_it_is_left_alone_where_the_tail_is_an_intercept_alone() -> None:
    # X is one column, and a 1 x 1 block of L is contiguous both ways: a copy is easily a view
    factor = Factor(np.arange(12) % 3, (np.ones(12),), Shape(3, Full(1)))
    A = cross_products([factor], np.ones((12, 1)), np.arange(12.0) ** 2, None)
    f = A.factorize([np.eye(1)])
    L = f.L.copy()
    f.gradient(reml=True)
    assert_array_equal(f.L, L)


# ---- blocks and pairs ----


def in_each_way(model: RandomModel) -> list[Products]:
    """Cross-products with the block between head and tail in dense blocks, pairs, sparse blocks."""
    factors = [
        Factor(g.codes, model.effects(g), shape)
        for g, shape in zip(model.groupings, model.shapes, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocked, "SMALL", -1)
        A = cross_products(factors, model.X, model.y, model.weights, reused=False)
        patch.setattr(blocked, "PAIRS", -1)
        patch.setattr(blocked, "QUICK", -1)
        in_blocks = cross_products(factors, model.X, model.y, model.weights)
    assert isinstance(in_blocks.coupling, Blocks)
    if len(model.groupings) == 1:  # X and y alone are dense in any case
        assert isinstance(A.coupling, Blocks)
        return [in_blocks, A]
    assert isinstance(A.coupling, SparseBlocks)
    rows = A.coupling.C
    pairs = blocked._pairs(list(rows), np.diff(rows[0].indptr))
    return [in_blocks, replace(A, coupling=pairs), A]


def coupled(k: int, tail: int) -> RandomModel:
    """Make a head of k effects, and a crossed factor with as many as asked for."""
    rng = np.random.default_rng([k, tail])
    n = 60
    columns = {name: rng.normal(size=n) for name in ("u", "v")}
    groupings = tuple(
        Grouping(name, rng.permutation(n) % m, m, True, ("u", "v")[: size - 1], True, np.eye(size))
        for name, m, size in (("f", 9, k), ("g", 4, tail))
        if size
    )
    units = {"u": 1.0, "v": 1.0}
    return RandomModel(100, rng.normal(size=n), True, columns, units, groupings, None)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("tail", [0, 1, 2, 3])
@pytest.mark.parametrize("entries", [blocked.ENTRIES, 40])
def test_pairs_blocks_and_sparse_blocks_are_equal(
    k: int, tail: int, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked, "ENTRIES", entries)  # 40: two or three levels at a time
    model = coupled(k, tail)
    # C_j = Z_j' [Z_t X y] of each level of the head, the slow and certain way
    head = model.groupings[0]
    q = head.levels * k
    all_columns = np.column_stack([model.Z[:, q:], model.X, model.y])
    C = (model.Z[:, :q].T @ all_columns).reshape(head.levels, k, -1)
    rng = np.random.default_rng(2)
    M = rng.normal(size=(head.levels, k, k))
    M = M + M.transpose(0, 2, 1)
    G = rng.normal(size=(C.shape[2], C.shape[2]))
    G = G + G.T
    inner = sum((C_j.T @ M_j @ C_j for C_j, M_j in zip(C, M, strict=True)), np.zeros_like(G))
    outer = np.stack([C_j @ G @ C_j.T for C_j in C], axis=-1)
    for A in in_each_way(model):
        assert_allclose(A.coupling.inner(M.transpose(1, 2, 0)), inner, rtol=1e-12, atol=1e-12)
        assert_allclose(A.coupling.outer(G), outer, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_all_ways_give_one_criterion(seed: int) -> None:
    model = MODELS[seed]
    theta = random_theta(model)
    values: list[Any] = []
    for A in in_each_way(model):
        f = A.factorize(unpack(theta, A.covariances))
        slopes = model.scale * pack_slopes(f.gradient(reml=True), A.covariances)
        values.append((f.deviance(reml=True), slopes))
    (value, slopes), *others = values
    for other_value, other_slopes in others:
        assert_allclose(value, other_value, rtol=1e-10)
        assert_allclose(slopes, other_slopes, rtol=1e-8, atol=1e-8 * np.abs(slopes).max())


def test_pairs_are_chosen_where_levels_touch_few_columns() -> None:
    # pupils of two subjects in 400 rooms: a pupil has one room, so a handful of pairs
    rooms = np.arange(4000) // 10
    factors = [
        Factor(codes, (np.ones(4000),), Shape(levels, Full(1)))
        for codes, levels in ((np.arange(4000) // 2, 2000), (rooms, 400))
    ]
    X, y = np.ones((4000, 1)), np.cos(np.arange(4000.0))
    once = cross_products(factors, X, y, reused=False)
    often = cross_products(factors, X, y)
    assert isinstance(once.coupling, SparseBlocks)
    assert isinstance(often.coupling, Pairs)
    assert isinstance(often.with_response(factors, X, -y, None).coupling, Pairs)
    assert isinstance(once.with_response(factors, X, -y, None).coupling, SparseBlocks)
    T = [np.eye(1), 0.5 * np.eye(1)]
    assert_allclose(
        often.factorize(T).deviance(reml=True), once.factorize(T).deviance(reml=True), rtol=1e-13
    )


def test_the_order_of_the_blocks_does_not_matter() -> None:
    # any term can be the head
    model = next(m for m in MODELS if len(m.groupings) == 3)
    theta = random_theta(model)
    expected = model.dense(theta, "REML")
    T = unpack(theta, model.covariances)
    for first in range(3):
        order = [first, *(i for i in range(3) if i != first)]
        turned = replace(model, groupings=tuple(model.groupings[i] for i in order))
        A = turned.cross_products
        f = A.factorize([T[i] for i in order])
        assert_allclose(f.deviance(reml=True), expected, rtol=1e-10)


# ---- theta ----


@pytest.mark.parametrize("seed", range(20))
def test_parameters_are_read_back(seed: int) -> None:
    model = MODELS[seed]
    theta = random_theta(model)
    assert_array_equal(pack(unpack(theta, model.covariances), model.covariances), theta)


def test_theta_is_filled_column_by_column() -> None:
    # Bates et al. (2015), section 2.3
    full, diagonal = unpack(np.arange(1.0, 9.0), [Full(3), Diagonal(2)])
    assert_array_equal(full, [[1, 0, 0], [2, 4, 0], [3, 5, 6]])
    assert_array_equal(diagonal, [[7, 0], [0, 8]])


def test_a_model_without_residuals_is_told() -> None:
    # 6 rows, 6 levels, and a theta that leaves nothing over
    factor = Factor(np.arange(6), (np.ones(6),), Shape(6, Full(1)))
    X, y = np.ones((6, 1)), np.zeros(6)
    A = cross_products([factor], X, y, None)
    with pytest.raises(np.linalg.LinAlgError, match="a pivot of the tail is not positive"):
        A.factorize([np.eye(1)])


def test_the_conditional_covariance_of_the_derivation_is_the_inverse_here() -> None:
    # sigma^2 M_j with one factor: T H_j^-1 T' is the block of level j
    model = next(m for m in MODELS if len(m.groupings) == 1 and len(m.groupings[0].T) == 2)
    A = model.cross_products
    T = np.array([[0.8, 0.0], [0.3, 0.6]]) * model.scale.max()
    T = unpack(model.scale * pack([T / model.scale.max()], model.covariances), model.covariances)[0]
    f = A.factorize([T])
    _, _, Z = model.weighted
    dense = conditional_covariance(Z, np.kron(np.eye(A.shapes[0].levels), T), 1.0)
    for j in range(A.shapes[0].levels):
        block = dense[2 * j : 2 * j + 2, 2 * j : 2 * j + 2]
        assert_allclose(f.M[:, :, j], block, rtol=1e-8)


# ---- terms of one level ----


def drawn(levels: int, k: int, rng: np.random.Generator) -> Factor:
    """Draw a term of the given size over 40 rows."""
    codes = np.arange(40) % levels
    effects = tuple(rng.standard_normal((k, 40)))
    return Factor(codes, effects, Shape(levels, Full(k)))


def dense_columns(factor: Factor) -> FloatArray:
    """Columns of Z, those of a level beside each other."""
    levels = np.arange(factor.shape.levels)
    return np.column_stack(
        [(factor.codes == level) * effect for level in levels for effect in factor.effects]
    )


SIZES = {
    "one smooth": [(1, 3)],
    "smooths": [(1, 2), (1, 4), (1, 3)],
    "groups and smooths": [(1, 3), (4, 2), (1, 2), (3, 1), (1, 1)],
    "a group and a smooth": [(5, 1), (1, 3)],
    "groups": [(3, 2), (5, 2)],
}


@pytest.mark.parametrize("weights", ["none", "positive", "signed"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_cross_products_are_those_of_dense_columns(
    sizes: list[tuple[int, int]], weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked, "ROWS", 7)  # the rows are in several blocks, the last is shorter
    rng = np.random.default_rng(11)
    factors = [drawn(levels, k, rng) for levels, k in sizes]
    X, y = rng.standard_normal((40, 2)), rng.standard_normal(40)
    w = {"none": None, "positive": rng.uniform(1, 2, 40), "signed": rng.standard_normal(40)}[
        weights
    ]
    A = cross_products(factors, X, y, w, slack=0.25)
    head, others = A.parted(factors)
    Z_h = dense_columns(head)
    Z_t = np.column_stack([*(dense_columns(f) for f in others), X, y])
    root = np.ones(40) if w is None else w
    want = Z_t.T @ (root[:, None] * Z_t)
    want[-1, -1] += 0.25
    assert_allclose(A.tail, want, rtol=0, atol=1e-12)
    k, J = head.shape.k, head.shape.levels
    blocks = (Z_h.T @ (root[:, None] * Z_h)).reshape(J, k, J, k)
    assert_allclose(A.head, blocks[range(J), :, range(J)].transpose(1, 2, 0), rtol=0, atol=1e-12)
    border = (Z_h.T @ (root[:, None] * Z_t)).reshape(J, k, -1)
    assert_allclose(A.dense, border[:, :, A.m :].transpose(1, 2, 0), rtol=0, atol=1e-12)
    assert len(A.sparse) == (k if A.m else 0)
    for a, rows in enumerate(A.sparse):
        assert_allclose(rows.toarray(), border[:, a, : A.m], rtol=0, atol=1e-12)
    # another response
    again = A.with_response(factors, X, y[::-1], w)
    direct = cross_products(factors, X, y[::-1], w)
    assert_allclose(again.tail, direct.tail, rtol=0, atol=1e-12)
    assert_allclose(again.dense, direct.dense, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_row_variances_are_those_of_dense_columns(
    sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked, "ROWS", 7)
    rng = np.random.default_rng(14)
    factors = [drawn(levels, k, rng) for levels, k in sizes]
    X, y, w = rng.standard_normal((40, 2)), rng.standard_normal(40), rng.uniform(1, 2, 40)
    T = [np.tril(rng.standard_normal((f.shape.k, f.shape.k))) for f in factors]
    f = cross_products(factors, X, y, w).factorize(T)
    ZLambda = np.column_stack(
        [
            dense_columns(factor) @ np.kron(np.eye(factor.shape.levels), T_f)
            for factor, T_f in zip(factors, T, strict=True)
        ]
    )
    A = ZLambda.T @ (w[:, None] * ZLambda) + np.eye(ZLambda.shape[1])
    want = np.einsum("ij,ji->i", ZLambda, np.linalg.solve(A, ZLambda.T))
    assert_allclose(f.row_variances(factors), want, rtol=1e-9)


def test_a_column_that_is_zero_in_a_level_stays_in_the_pattern() -> None:
    rng = np.random.default_rng(12)
    group, smooth = drawn(4, 2, rng), drawn(1, 3, rng)
    effects = tuple(np.where(group.codes == 2, 0.0, z) for z in smooth.effects)
    factors = [group, replace(smooth, effects=effects)]
    X, y = np.ones((40, 1)), rng.standard_normal(40)
    A = cross_products(factors, X, y)
    assert [rows.nnz for rows in A.sparse] == [12, 12]


@pytest.mark.parametrize("levels", [1, 4])
def test_sums_and_products_of_a_term_are_those_of_its_columns(levels: int) -> None:
    rng = np.random.default_rng(13)
    term, r = drawn(levels, 3, rng), rng.standard_normal(40)
    Z, b = dense_columns(term), rng.standard_normal((levels, 3))
    assert_allclose(term.sums(r).ravel(), Z.T @ r, rtol=0, atol=1e-12)
    assert_allclose(term.times(b), Z @ b.ravel(), rtol=0, atol=1e-12)
