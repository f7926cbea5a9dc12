"""Each function of each engine, on one list of models, against plain matrices.

An engine stores Z'WZ in its own way; the blocked one stores the block between head and tail in
three. All answer the same questions as an n x n covariance, or the joint matrix of u and beta.
Chunks are made small, so that there are several of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from mixedsmooth.model import blocked, sparse
from mixedsmooth.model.blocked import Blocks, Pairs, SparseBlocks
from mixedsmooth.model.covariance import Covariance, pack, pack_slopes, unpack
from mixedsmooth.model.engine import Factor, Factorization, Products
from mixedsmooth.model.problem import model_of, standardize
from tests.models import EXAMPLES, Example, Grouping, Smoothing

FloatArray = NDArray[np.float64]

KNOWN = 1.7  # a variance that is not the best one


# ---- plain matrices ----


@dataclass(frozen=True, eq=False)
class Case:
    """The columns that an engine gets, and T of each term."""

    factors: Sequence[Factor]
    X: FloatArray
    y: FloatArray
    w: FloatArray | None
    T: Sequence[FloatArray] = field(default_factory=list)

    @property
    def columns(self) -> tuple[Sequence[Factor], FloatArray, FloatArray, FloatArray | None]:
        return self.factors, self.X, self.y, self.w

    @property
    def covariances(self) -> list[Covariance]:
        return [factor.shape.covariance for factor in self.factors]

    @property
    def weights(self) -> FloatArray:
        return np.ones(len(self.y)) if self.w is None else self.w

    @property
    def p(self) -> int:
        return len(self.X.T)

    @cached_property
    def Z(self) -> FloatArray:  # noqa: N802
        """Term by term, level by level."""
        n = len(self.y)
        blocks = []
        for f in self.factors:
            block = np.zeros((n, f.shape.levels, f.shape.k))
            block[np.arange(n), f.codes] = np.column_stack(f.effects)
            blocks.append(block.reshape(n, -1))
        return np.hstack(blocks)

    @cached_property
    def Lambda(self) -> FloatArray:  # noqa: N802
        parts = zip(self.factors, self.T, strict=True)
        return np.asarray(
            scipy.linalg.block_diag(*(np.kron(np.eye(f.shape.levels), T) for f, T in parts)),
            dtype=np.float64,
        )

    @cached_property
    def S(self) -> FloatArray:  # noqa: N802
        """[Z Lambda, X]' W [Z Lambda, X], with I added for u."""
        D = np.hstack([self.Z @ self.Lambda, self.X])
        penalty = np.diag(np.repeat([1.0, 0.0], [self.q, self.p]))
        return D.T @ (self.weights[:, None] * D) + penalty

    @property
    def q(self) -> int:
        return len(self.Z.T)

    @cached_property
    def inverse_Z(self) -> FloatArray:  # noqa: N802
        """(Lambda'Z'WZ Lambda + I)^-1."""
        return np.asarray(np.linalg.inv(self.S[: self.q, : self.q]), dtype=np.float64)

    @cached_property
    def inverse(self) -> FloatArray:
        """That of u and beta."""
        return np.asarray(np.linalg.inv(self.S), dtype=np.float64)

    def deviance(self, reml: bool, variance: float | None) -> float:
        """Minus twice the log-likelihood of N(X beta, sigma^2 V), beta and sigma at their best."""
        n, ZL = len(self.y), self.Z @ self.Lambda
        V = ZL @ ZL.T + np.diag(1 / self.weights)
        VX = np.linalg.solve(V, self.X)
        XVX = self.X.T @ VX
        residual = self.y - self.X @ np.linalg.solve(XVX, VX.T @ self.y)
        r2 = float(residual @ np.linalg.solve(V, residual))
        N = n - self.p if reml else n
        s2 = r2 / N if variance is None else variance
        value = N * np.log(2 * np.pi * s2) + r2 / s2 + np.linalg.slogdet(V)[1]
        return float(value + (np.linalg.slogdet(XVX)[1] if reml else 0.0))

    def log_det(self) -> float:
        """log|Lambda'Z'WZ Lambda + I|."""
        return float(np.linalg.slogdet(self.S[: self.q, : self.q])[1])

    def slope(self, value: Callable[["Case"], float]) -> FloatArray:
        """Differentiate by theta, by central differences of fourth order."""
        theta, h = pack(self.T, self.covariances), 1e-3

        def at(moved: FloatArray) -> float:
            return value(replace(self, T=unpack(moved, self.covariances)))

        return np.array(
            [
                (8 * (at(theta + s) - at(theta - s)) - (at(theta + 2 * s) - at(theta - 2 * s)))
                / (12 * h)
                for s in h * np.eye(len(theta))
            ]
        )

    def by_term(self, v: FloatArray) -> list[FloatArray]:
        ends = np.cumsum([f.shape.size for f in self.factors])
        parts = np.split(v[: ends[-1]], ends[:-1])
        return [
            part.reshape(f.shape.levels, f.shape.k)
            for part, f in zip(parts, self.factors, strict=True)
        ]

    def rows_of(self, term: int, level: int) -> NDArray[np.intp]:
        """Where the effects of a level are in u."""
        k = self.factors[term].shape.k
        first = sum(f.shape.size for f in self.factors[:term]) + level * k
        return np.arange(first, first + k)


# ---- the list of models ----


def more_examples() -> list[Example]:
    """Heads and tails with up to three effects, in all orders."""
    rng = np.random.default_rng(7)
    n = 90
    x, z, t = rng.standard_normal((3, n))
    g, h, f = np.arange(n) % 11, rng.permutation(n) % 6, rng.permutation(n) % 4
    y = rng.standard_normal(11)[g] + x * rng.standard_normal(6)[h] + rng.standard_normal(n)
    w = rng.uniform(0.3, 3.0, n)
    three = Grouping("g", g, {"x": x, "z": z})
    two, other = Grouping("h", h, {"x": x}), Grouping("f", f, {"z": z}, correlated=False)
    return [
        Example("a head of three", y, [three, two], {"x": x, "z": z}),
        Example("a head of three last", y, [other, two, three], {"x": x}, weights=w),
        Example("a head of three in the middle", y, [two, three, Grouping("f", f)], {"t": t}),
        Example("a head of two", y, [Grouping("f", f), Grouping("g", g, {"z": z}), two]),
        Example("a head of one", y, [two, Grouping("g", g), Smoothing("t", t, "cr", 5)]),
        Example("shared curves as the tail", y, [three, Smoothing("t", t, "cs", 5, h, True)]),
    ]


LIST = EXAMPLES | {example.name: example for example in more_examples()}


@cache
def case_of(name: str, boundary: bool) -> Case:
    """Return the columns of a model, and a theta inside or with a column of one T at zero."""
    example = LIST[name]
    problem = standardize(model_of(example.y, example.terms, example.weights, example.sigma))
    residual, _ = problem.response()
    y = residual + problem.X.sum(axis=1)  # so that no beta is zero
    case = Case(problem.factors, problem.X, y, problem.model.weights)
    rng = np.random.default_rng(list(name.encode()))
    size = sum(covariance.size for covariance in case.covariances)
    T = unpack(rng.uniform(0.3, 1.2, size), case.covariances)
    if boundary:
        term = rng.integers(len(T))
        columns = case.covariances[term].columns
        # the columns of a T with one variance vanish together
        T[term][:, rng.integers(columns) if columns > 1 else slice(None)] = 0.0
    return replace(case, T=T)


def of_blocks(case: Case) -> Products:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocked, "PAIRS", -1)
        A = blocked.cross_products(*case.columns)
    assert isinstance(A.coupling, Blocks)
    return A


def of_sparse_blocks(case: Case) -> Products:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocked, "SMALL", -1)
        A = blocked.cross_products(*case.columns, reused=False)
    assert isinstance(A.coupling, SparseBlocks)
    return A


def of_pairs(case: Case) -> Products:
    A = of_sparse_blocks(case)
    assert isinstance(A, blocked.Products)
    assert isinstance(A.coupling, SparseBlocks)
    rows = list(A.coupling.C)
    pairs = blocked._pairs(rows, np.diff(rows[0].indptr))
    assert isinstance(pairs, Pairs)
    return replace(A, coupling=pairs)


def of_sparse(case: Case) -> Products:
    return sparse.cross_products(*case.columns)


WAYS = {
    "blocks": of_blocks,
    "pairs": of_pairs,
    "sparse blocks": of_sparse_blocks,
    "sparse": of_sparse,
}
# without a tail of random effects there is nothing to store in pairs or sparse blocks
CASES = [
    (name, way)
    for name, example in LIST.items()
    for way in WAYS
    if len(example.blocks) > 1 or way in ("blocks", "sparse")
]
EXACT = [case for case in CASES if case[1] != "sparse"]
in_every_way = pytest.mark.parametrize(("name", "way"), CASES, ids=map("-".join, CASES))
where_exact = pytest.mark.parametrize(("name", "way"), EXACT, ids=map("-".join, EXACT))
everywhere = pytest.mark.parametrize("boundary", [False, True], ids=["inside", "boundary"])


def answer_of(name: str, way: str, boundary: bool) -> tuple[Case, Factorization]:
    """Return the plain matrices, and the factorization that is compared with them."""
    case = case_of(name, boundary)
    return case, WAYS[way](case).factorize(case.T)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocked, "ENTRIES", 40)
    monkeypatch.setattr(sparse, "COLUMNS", 3)


reml_or_not = pytest.mark.parametrize("reml", [False, True], ids=["ML", "REML"])
known_or_not = pytest.mark.parametrize("variance", [None, KNOWN], ids=["sigma", "known sigma"])


def assert_close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    """Compare entries, to a part of the largest."""
    wanted = np.asarray(wanted)
    assert np.shape(found) == wanted.shape
    largest = float(np.abs(wanted).max(initial=0.0))
    assert_allclose(found, wanted, rtol=0, atol=tolerance * largest)


# ---- the list covers what it should ----


def test_the_list_has_heads_and_tails_of_all_kinds() -> None:
    heads = []
    for name in LIST:
        A = of_blocks(case_of(name, boundary=False))
        assert isinstance(A, blocked.Products)
        heads.append((A.shapes[A.first].k, A.first, len(A.shapes)))
    for k in (1, 2, 3):
        assert any(size == k and terms > 1 for size, _, terms in heads)
        assert any(size == k and first > 0 for size, first, _ in heads)
    assert {terms for _, _, terms in heads} == {1, 2, 3}


@pytest.mark.parametrize("name", LIST)
def test_a_column_of_each_boundary_is_zero(name: str) -> None:
    case = case_of(name, boundary=True)
    assert any(np.any(np.all(T == 0, axis=0)) for T in case.T)
    assert all(np.all(np.diag(T) != 0) for T in case_of(name, boundary=False).T)


# ---- the criterion and its slopes ----


@in_every_way
@everywhere
@reml_or_not
@known_or_not
def test_deviance(name: str, way: str, boundary: bool, reml: bool, variance: float | None) -> None:
    case, f = answer_of(name, way, boundary)
    wanted = case.deviance(reml, variance)
    assert_allclose(f.deviance(reml, variance), wanted, rtol=1e-10, atol=1e-9)


@cache
def wanted_slope(name: str, boundary: bool, reml: bool, variance: float | None) -> FloatArray:
    return case_of(name, boundary).slope(lambda case: case.deviance(reml, variance))


@in_every_way
@everywhere
@reml_or_not
@known_or_not
def test_gradient(name: str, way: str, boundary: bool, reml: bool, variance: float | None) -> None:
    case, f = answer_of(name, way, boundary)
    by_T = f.gradient(reml, variance)
    assert [S.shape for S in by_T] == [T.shape for T in case.T]
    # differences of a criterion of some hundreds: h^4 of its fifth derivative, and rounding over h;
    # those of the sparse engine have h^2 of its third
    tolerance = 1e-6 if f.A.exact_slopes else 2e-5
    wanted = wanted_slope(name, boundary, reml, variance)
    found = pack_slopes(by_T, case.covariances)
    assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * max(1, np.abs(wanted).max()))


@where_exact
@everywhere
def test_log_det_gradient(name: str, way: str, boundary: bool) -> None:
    case, f = answer_of(name, way, boundary)
    assert isinstance(f, blocked.Factorization)
    assert_allclose(f.log_det_Z, case.log_det(), rtol=1e-11, atol=1e-11)
    wanted = case.slope(Case.log_det)
    found = pack_slopes(f.log_det_gradient(), case.covariances)
    assert_allclose(found, wanted, rtol=1e-7, atol=1e-7)


@in_every_way
@everywhere
def test_variance_and_its_parts(name: str, way: str, boundary: bool) -> None:
    case, f = answer_of(name, way, boundary)
    assert_allclose(f.log_det_Z, case.log_det(), rtol=1e-11, atol=1e-11)
    # L_X L_X' = X' V^-1 X
    of_beta = case.inverse[case.q :, case.q :]
    assert_close(np.linalg.inv(f.L_X @ f.L_X.T), of_beta)
    assert_allclose(f.log_det_X, -np.linalg.slogdet(of_beta)[1], rtol=1e-9, atol=1e-9)
    K = np.arange(1.0, 1 + 2 * case.p).reshape(2, case.p)
    assert_close(f.covariance_of_beta(K), K @ of_beta @ K.T)
    n = len(case.y)
    assert f.residual_variance(reml=False) == f.r2 / n
    assert f.residual_variance(reml=True) == f.r2 / (n - case.p)
    assert f.residual_variance(reml=True, known=KNOWN) == KNOWN


# ---- solutions ----


@in_every_way
@everywhere
def test_solve(name: str, way: str, boundary: bool) -> None:
    case, f = answer_of(name, way, boundary)
    D = np.hstack([case.Z @ case.Lambda, case.X])
    wanted = case.inverse @ D.T @ (case.weights * case.y)
    beta, u = f.solve()
    assert_close(beta, wanted[case.q :])
    for found, part in zip(u, case.by_term(wanted), strict=True):
        assert found.shape == part.shape
        assert_allclose(found, part, rtol=0, atol=1e-9 * np.abs(wanted).max())
    residual = case.y - D @ wanted
    r2 = residual @ (case.weights * residual) + wanted[: case.q] @ wanted[: case.q]
    assert_allclose(f.r2, r2, rtol=1e-9)


@in_every_way
@everywhere
def test_solve_spherical(name: str, way: str, boundary: bool) -> None:
    case, f = answer_of(name, way, boundary)
    q = np.random.default_rng(1).standard_normal(case.q)
    wanted = case.inverse_Z @ q
    for found, part in zip(f.solve_spherical(case.by_term(q)), case.by_term(wanted), strict=True):
        assert_close(found, part)


@in_every_way
def test_another_response(name: str, way: str) -> None:
    case = case_of(name, boundary=False)
    other = replace(case, y=np.cos(1 + np.arange(len(case.y))) + 0.3 * case.y)
    before, new = WAYS[way](case), WAYS[way](other)
    A = before.with_response(*other.columns)
    found, wanted = A.factorize(case.T), new.factorize(case.T)
    assert_allclose(found.deviance(reml=True), wanted.deviance(reml=True), rtol=1e-12)
    assert_allclose(found.deviance(reml=False), other.deviance(False, None), rtol=1e-10)
    (beta, u), (other_beta, other_u) = found.solve(), wanted.solve()
    assert_close(beta, other_beta)
    for part, other_part in zip(u, other_u, strict=True):
        assert_close(part, other_part)
    for slopes, other_slopes in zip(found.gradient(True), wanted.gradient(True), strict=True):
        assert_allclose(slopes, other_slopes, rtol=1e-8, atol=1e-8)
    # the first is what it was
    assert before.factorize(case.T).r2 == WAYS[way](case).factorize(case.T).r2
    back = A.with_response(*case.columns).factorize(case.T)
    assert_allclose(back.r2, before.factorize(case.T).r2, rtol=1e-12)


# ---- degrees of freedom and covariances ----


def all_signs(size: tuple[int, int]) -> FloatArray:
    """Signs whose rows are at right angles: with them the estimate of a diagonal is exact."""
    signs: FloatArray = scipy.linalg.hadamard(size[1])[: size[0]].astype(float)
    return signs


@in_every_way
@everywhere
@reml_or_not
def test_degrees_of_freedom(
    name: str, way: str, boundary: bool, reml: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, f = answer_of(name, way, boundary)
    if not f.A.exact_slopes:
        monkeypatch.setattr(sparse, "PROBES", 1 << (case.q - 1).bit_length())
        source = SimpleNamespace(choice=lambda signs, size: all_signs(size))
        monkeypatch.setattr(np.random, "default_rng", lambda seed: source)
    inverse = case.inverse[: case.q, : case.q] if reml else case.inverse_Z
    wanted = [len(part) - part.sum(axis=0) for part in case.by_term(np.diag(inverse))]
    for found, part in zip(f.degrees_of_freedom(reml), wanted, strict=True):
        assert_allclose(found, part, rtol=1e-9, atol=1e-9)


@in_every_way
@everywhere
def test_conditional_covariances(name: str, way: str, boundary: bool) -> None:
    case, f = answer_of(name, way, boundary)
    whole = case.Lambda @ case.inverse_Z @ case.Lambda.T
    for term, found in enumerate(f.conditional_covariances()):
        levels = case.factors[term].shape.levels
        rows = [case.rows_of(term, level) for level in range(levels)]
        assert_close(found, np.stack([whole[np.ix_(at, at)] for at in rows]))


@in_every_way
@everywhere
def test_joint_covariance(name: str, way: str, boundary: bool) -> None:
    case, f = answer_of(name, way, boundary)
    outward = scipy.linalg.block_diag(case.Lambda, np.eye(case.p))
    whole = outward @ case.inverse @ outward.T
    fixed = case.q + np.arange(case.p)
    for term, factor in enumerate(case.factors):
        for level in range(factor.shape.levels):
            at = np.append(case.rows_of(term, level), fixed)
            assert_close(f.joint_covariance(term, level), whole[np.ix_(at, at)])


@where_exact
@everywhere
def test_row_variances(name: str, way: str, boundary: bool) -> None:
    case, f = answer_of(name, way, boundary)
    assert isinstance(f, blocked.Factorization)
    ZL = case.Z @ case.Lambda
    wanted = np.einsum("ij,jk,ik->i", ZL, case.inverse_Z, ZL)
    assert_close(f.row_variances(case.factors), wanted)


@in_every_way
@everywhere
def test_looking_changes_nothing(name: str, way: str, boundary: bool) -> None:
    _, f = answer_of(name, way, boundary)

    def asked() -> list[FloatArray]:
        return [
            *f.gradient(reml=True),
            *f.degrees_of_freedom(reml=True),
            *f.degrees_of_freedom(reml=False),
            *f.conditional_covariances(),
            f.joint_covariance(0, 0),
            *f.solve()[1],
        ]

    for first, second in zip(asked(), asked(), strict=True):
        assert_array_equal(first, second)


# ---- where there is no answer ----


@pytest.mark.parametrize("form", [blocked.cross_products, sparse.cross_products])
def test_a_response_without_a_residual_is_told(form: Callable[..., Products]) -> None:
    case = case_of("intercepts", boundary=False)
    nothing = replace(case, y=np.zeros_like(case.y))
    with pytest.raises(np.linalg.LinAlgError):
        form(*nothing.columns).factorize(case.T)
    # unless there is room for rounding errors
    f = form(*nothing.columns, slack=2.0).factorize(case.T)
    assert_allclose(f.r2, 2.0, rtol=1e-12)
