"""A sparse precision between the levels of a term: equal to independent effects of its root."""

import copy
import pickle
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.model import blocked, sparse, structures, terms
from mixedsmooth.model.covariance import Full, Scalar, unpack
from mixedsmooth.model.engine import Factor, Shape, penalty
from mixedsmooth.model.precision import Precision

FloatArray = NDArray[np.float64]


def laplacian(m: int, edges: NDArray[np.intp], weights: FloatArray) -> FloatArray:
    """Sum of w_ij (b_i - b_j)^2 over the edges, as a matrix."""
    Q = np.zeros((m, m))
    for (i, j), w in zip(edges, weights, strict=True):
        Q[np.ix_([i, j], [i, j])] += w * np.array([[1, -1], [-1, 1]])
    return Q


def island(rng: np.random.Generator, m: int) -> NDArray[np.intp]:
    """Edges of a random connected graph: a tree, and some more."""
    tree = [(int(rng.integers(0, i)), i) for i in range(1, m)]
    more = [tuple(sorted(rng.choice(m, 2, replace=False).tolist())) for _ in range(m // 3)]
    return np.array(tree + [pair for pair in more if pair not in tree])


def structure(seed: int, kind: str) -> tuple[Precision, NDArray[np.intp]]:
    """Return a random structure of 24 levels in a random order, and the levels of 150 rows."""
    rng = np.random.default_rng(seed)
    sizes = [14, 9, 1] if kind == "islands" else [24]
    starts = np.cumsum([0, *sizes[:-1]])
    edges = [
        island(rng, size) + start for size, start in zip(sizes, starts, strict=True) if size > 1
    ]
    joined = np.concatenate(edges)
    Q = laplacian(24, joined, rng.uniform(0.5, 3.0, len(joined)))
    component = np.repeat(np.arange(len(sizes)), sizes)
    if kind == "proper":
        Q += 0.2 * np.eye(24)
        component[:] = -1
    order = rng.permutation(24)
    Q, component = Q[np.ix_(order, order)], component[order]
    # a third of the levels of the large island have no data
    empty = rng.choice(np.flatnonzero(component == component[order == 0]), 4, replace=False)
    present = np.setdiff1d(np.arange(24), empty)
    codes = np.concatenate([present, rng.choice(present, 150 - len(present))])
    rows = np.bincount(codes, minlength=24).astype(float)
    return Precision(scipy.sparse.csc_array(Q), component, rows), codes


def root(precision: Precision) -> FloatArray:
    """Take independent effects to those of the levels, by a basis of the u with sums of zero."""
    N = scipy.linalg.null_space(precision.sums.toarray().T) if precision.free else np.eye(24)
    L = np.linalg.cholesky(N.T @ precision.Q.toarray() @ N)
    return np.asarray(scipy.linalg.solve_triangular(L, N.T, lower=True).T)


KINDS = ["graph", "islands", "proper"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("theta", [0.0, 1e-3, 0.7, 40.0])
def test_all_answers_are_those_of_independent_effects(kind: str, seed: int, theta: float) -> None:
    precision, codes = structure(seed, kind)
    rng = np.random.default_rng(seed + 100)
    n = len(codes)
    x, w = rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    z = x if seed % 2 else np.ones(n)  # a slope, or an intercept
    X = np.column_stack([np.ones(n), x, rng.normal(size=n)])
    y = rng.normal(size=n) + 0.3 * codes
    other = Factor(rng.integers(0, 11, n), (np.ones(n), x), Shape(11, Full(2)))
    field = Factor(codes, (z,), Shape(24, Full(1), precision))
    C = root(precision)
    columns = np.ascontiguousarray((C[codes] * z[:, None]).T)
    same = Factor(np.zeros(n, dtype=np.intp), tuple(columns), Shape(1, Scalar(C.shape[1])))
    A = sparse.cross_products([other, field], X, y, w)
    B = blocked.cross_products([other, same], X, y, w)
    parameters = np.array([0.5, 0.2, 0.7, theta])
    f, g = (AB.factorize(unpack(parameters, AB.covariances)) for AB in (A, B))
    # what is rounded is about 1e3 in size
    for reml in (False, True):
        assert_allclose(f.deviance(reml), g.deviance(reml), rtol=0, atol=1e-9)
        ours, theirs = (sum(d.sum() for d in h.degrees_of_freedom(reml)) for h in (f, g))
        assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    assert_allclose(f.log_det_Z, g.log_det_Z, rtol=0, atol=1e-10)
    assert_allclose(f.covariance_of_beta(np.eye(3)), g.covariance_of_beta(np.eye(3)), rtol=1e-9)
    (beta, (v, u)), (beta_2, (v_2, u_2)) = f.solve(), g.solve()
    assert_allclose(beta, beta_2, rtol=1e-9, atol=1e-11)
    assert_allclose(v, v_2, rtol=1e-9, atol=1e-11)
    assert_allclose(u.ravel(), C @ u_2.ravel(), rtol=1e-8, atol=1e-11)
    assert_allclose(penalty([v, u], A.shapes), penalty([v_2, u_2], B.shapes), rtol=1e-9)
    _, b = f.conditional_covariances()
    _, b_2 = g.conditional_covariances()
    assert_allclose(b.ravel(), np.sum(C @ b_2[0] * C, axis=1), rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_covariance(kind: str) -> None:
    precision, _ = structure(5, kind)
    C = root(precision)
    R = precision.draw(np.eye(24))
    assert_allclose(R @ R.T, C @ C.T, rtol=0, atol=1e-12)
    assert_allclose(precision.spread(np.eye(24)), C @ C.T, rtol=0, atol=1e-12)
    assert_allclose(precision.sums.T @ R, 0, atol=1e-13)


@pytest.mark.parametrize("m", [3, 10, 500])
def test_the_determinant_counts_spanning_trees(m: int) -> None:
    # a ring has m of them: each leaves out one edge (Kirchhoff's theorem)
    edges = np.column_stack([np.arange(m), (np.arange(m) + 1) % m])
    Q = scipy.sparse.csc_array(laplacian(m, edges, np.ones(m)))
    ring = Precision(Q, np.zeros(m, dtype=np.intp), np.ones(m))
    assert_allclose(ring.log_det, np.log(m), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_levels_is_free(kind: str) -> None:
    precision, codes = structure(6, kind)
    rng = np.random.default_rng(0)
    y, X = rng.normal(size=150), np.ones((150, 1))
    order = rng.permutation(24)
    place = np.argsort(order)
    moved = Precision(
        precision.Q[order][:, order].tocsc(), precision.component[order], precision.rows[order]
    )
    deviances = []
    for own, known, reused in ((codes, precision, True), (place[codes], moved, False)):
        field = Factor(own, (np.ones(150),), Shape(24, Full(1), known))
        A = sparse.cross_products([field], X, y, reused=reused)
        f = A.factorize([np.array([[0.6]])])
        deviances.append([f.deviance(False), f.deviance(True)])
    assert_allclose(deviances[0], deviances[1], rtol=1e-12)


def test_an_indefinite_matrix_is_refused_where_the_sums_are_zero() -> None:
    precision, codes = structure(7, "graph")
    field = Factor(codes, (np.ones(150),), Shape(24, Full(1), precision))
    C = root(precision)
    smallest = np.linalg.eigvalsh(C.T @ np.diag(precision.rows) @ C).max()
    X, y = np.empty((150, 0)), np.zeros(150)
    for share, definite in ((0.99, True), (1.01, False)):
        # I - theta^2 C'Z'ZC has a negative eigenvalue from theta^2 = 1 / the largest of C'Z'ZC
        T = [np.array([[np.sqrt(share / smallest)]])]
        A = sparse.cross_products([field], X, y, -np.ones(150), slack=1.0, reused=False)
        if definite:
            assert np.isfinite(A.factorize(T).log_det_Z)
        else:
            with pytest.raises(np.linalg.LinAlgError):
                A.factorize(T)


# ---- through group(), by its dense root and by its precision ----


def grid(side: int) -> NDArray[np.intp]:
    """Pairs of neighbors on a square grid."""
    place = np.arange(side * side).reshape(side, side)
    across = np.column_stack([place[:, :-1].ravel(), place[:, 1:].ravel()])
    return np.concatenate([across, np.column_stack([place[:-1].ravel(), place[1:].ravel()])])


class Columns:
    """A field on an 8 x 8 grid and on an island of six, levels without data, and much beside it."""

    def __init__(self) -> None:
        rng = np.random.default_rng(11)
        island = [(100 + i, 101 + i) for i in range(5)]
        self.graph = ms.neighbours([*map(tuple, grid(8).tolist()), *island])
        levels = self.graph.levels
        self.place = rng.choice(np.delete(levels, [3, 40, 66]), 250)
        self.x, self.t = rng.normal(size=250), rng.uniform(0, 1, 250)
        self.plot = rng.integers(0, 12, 250)
        u = rng.normal(size=len(levels))
        self.signal = np.sin(levels / 9.0)[np.searchsorted(levels, self.place)] + 0.1 * u[0]
        self.eta = self.signal + 0.5 * self.x + np.sin(6 * self.t)
        self.y = self.eta + 0.5 * rng.normal(size=250)
        self.counts = rng.poisson(np.exp(0.5 + 0.5 * self.eta))
        self.w = rng.uniform(0.5, 2.0, 250)

    def field(self, x: FloatArray | None = None) -> terms.Group:
        """Return the term."""
        slope = {} if x is None else {"x": x}
        columns = {"place": self.place, **slope}
        return ms.group(columns, intercept=not slope, precision=self.graph)


@pytest.fixture(scope="module")
def columns() -> Columns:
    return Columns()


def both_ways(make: Callable[[], ms.Fit], patch: pytest.MonkeyPatch) -> tuple[ms.Fit, ms.Fit]:
    """Fit with independent effects of the dense root, and with the precision."""
    fits = []
    for most in (10_000, 0):
        patch.setattr(terms, "DENSE_LEVELS", most)
        fits.append(make())
    dense, large = fits
    assert isinstance(large.factorization, sparse.Factorization)
    assert not isinstance(dense.factorization, sparse.Factorization)
    return dense, large


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("beside", ["nothing", "much", "slope"])
def test_the_fit_is_that_of_independent_effects(
    columns: Columns, method: Literal["REML", "ML"], beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = columns

    def make() -> ms.Fit:
        if beside == "nothing":
            return ms.lmm(c.y, c.field(), method=method)
        field = c.field(x=c.x) if beside == "slope" else c.field()
        others: list[Any] = [
            ms.linear(x=c.x),
            ms.smooth(t=c.t, basis="cr", k=6),
            ms.group(plot=c.plot),
        ]
        return ms.lmm(c.y, *others, field, weights=c.w, method=method)

    dense, large = both_ways(make, monkeypatch)
    assert dense.converged
    assert large.converged
    assert_allclose(large.criterion, dense.criterion, rtol=0, atol=1e-8)
    assert_allclose(large.random["place"].sd, dense.random["place"].sd, rtol=1e-5, atol=1e-6)
    assert_allclose(large.sigma, dense.sigma, rtol=1e-6)
    assert_allclose(large.se, dense.se, rtol=1e-5)
    scale = np.abs(dense.random["place"].effects).max() + 1e-3
    for what in ("effects", "conditional_sd"):
        ours, theirs = (getattr(f.random["place"], what) for f in (large, dense))
        assert_allclose(ours, theirs, rtol=0, atol=2e-5 * scale)
    for name, edf in dense.edf.items():
        assert_allclose(large.edf[name], edf, rtol=0, atol=1e-3)
    # sums over the rows of each component
    effects = dict(zip(large.random["place"].levels, large.random["place"].effects, strict=True))
    rows = np.array([effects[place][0] for place in c.place])
    for component in (c.place < 100, c.place >= 100):
        assert abs(rows[component].sum()) < 1e-10 * scale * 250
    # levels without data, on both components, are predicted with their variance
    new = {"place": [3, 40, 102], "x": [0.0, 1.0, 1.0], "t": [0.5] * 3, "plot": [0, 1, 2]}
    ours, theirs = large.predict_interval(new), dense.predict_interval(new)
    assert_allclose(ours.value, theirs.value, rtol=1e-5)
    assert_allclose(ours.se, theirs.se, rtol=1e-5)


def test_a_pedigree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(13)
    known = [
        (animal, None if animal < 12 else rng.integers(0, animal // 2), None)
        if animal < 20
        else (animal, *sorted(rng.choice(animal, 2, replace=False)))
        for animal in range(70)
    ]
    animal = rng.integers(0, 60, 200)  # ten have no record
    y = np.sin(animal) + 0.4 * rng.normal(size=200)
    fits = []
    for most in (10_000, 0):
        monkeypatch.setattr(structures, "WITH_INVERSE", most)
        monkeypatch.setattr(terms, "DENSE_LEVELS", most)
        term = ms.group(animal=animal, covariance=ms.relationship(known))
        fits.append(ms.lmm(y, term, ms.group(animal=animal)))
    dense, large = fits
    assert isinstance(large.factorization, sparse.Factorization)
    assert_allclose(large.criterion, dense.criterion, rtol=0, atol=1e-8)
    for ours, theirs in zip(large.random.values(), dense.random.values(), strict=True):
        assert_allclose(ours.sd, theirs.sd, rtol=1e-4, atol=1e-5)
        assert_allclose(ours.effects, theirs.effects, rtol=0, atol=1e-4)
        assert_allclose(ours.conditional_sd, theirs.conditional_sd, rtol=1e-3, atol=1e-4)


def test_counts_on_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(12)
    graph = ms.neighbours(grid(5))
    place = rng.choice(np.delete(graph.levels, 7), 120)
    counts = rng.poisson(np.exp(0.5 + np.sin(place / 4.0)))
    dense, large = both_ways(
        lambda: ms.glmm(counts, ms.group(place=place, precision=graph)), monkeypatch
    )
    assert dense.converged
    assert large.converged
    assert_allclose(large.criterion, dense.criterion, rtol=0, atol=1e-8)
    assert_allclose(large.random["place"].sd, dense.random["place"].sd, rtol=1e-6)
    assert_allclose(large.beta, dense.beta, rtol=1e-6)
    # second differences of the deviance, where the other takes differences of slopes
    assert_allclose(large.se, dense.se, rtol=5e-3)
    assert_allclose(large.fitted, dense.fitted, rtol=1e-5)


def test_other_fits_of_the_same_field(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    c = columns
    monkeypatch.setattr(terms, "DENSE_LEVELS", 0)
    fit = ms.lmm(c.y, ms.linear(x=c.x), c.field())
    same = ms.lmm(c.eta, ms.linear(x=c.x), c.field())
    assert_allclose(fit.with_response(c.eta).theta, same.theta, rtol=1e-5)
    assert_allclose(fit.refit("ML").refit("REML").criterion, fit.criterion, rtol=0, atol=1e-8)
    assert_allclose(fit.refit(theta=fit.theta).beta, fit.beta, rtol=1e-10)
    found = ms.bootstrap(fit, 20, seed=1)
    assert np.isfinite(found.replicates).all()
    intervals = fit.confint(kind="wald")
    assert np.isfinite(intervals.lower).all()
    assert fit.coefficients("satterthwaite").df[1] > 100
    with pytest.raises(ValueError, match='"kenward-roger" takes the whole covariance'):
        fit.coefficients("kenward-roger")
    with pytest.raises(ValueError, match="use compare"):
        ms.variance_test(fit, "place")


def test_simulated_fields_have_the_covariance_of_the_graph(
    columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = columns
    dense, large = both_ways(lambda: ms.lmm(c.y, c.field()), monkeypatch)
    # two neighbors inside, between whom the resistance is about 1/2: it would be 2 if they were
    # independent; 2000 squares, whose mean has a standard error of 3 %
    a, b = (np.flatnonzero(c.place == place)[0] for place in (27, 28))
    for fit in (dense, large):
        y = fit.refit(theta=[4.0]).simulate(2_000, seed=3)
        variance = np.var(y[:, a] - y[:, b]) / fit.refit(theta=[4.0]).sigma ** 2
        assert_allclose(variance, 0.5 * 4.0**2 + 2, rtol=0.15)


@pytest.mark.parametrize("most", [0, 10_000])
def test_a_precision_that_is_none_is_refused(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "DENSE_LEVELS", most)
    levels, Q = ms.neighbours([(i, i + 1) for i in range(9)])
    wrong = Q.tolil()
    wrong[4, 5] = wrong[5, 4] = 1.0  # the rows still sum to zero, and b'Qb may be negative
    wrong[4, 4] = wrong[5, 5] = 0.0
    with pytest.raises(ValueError, match="precision must be positive"):
        ms.group(place=levels, precision=(levels, wrong.tocsr()))


def test_labels_that_are_no_levels_are_refused(
    columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "DENSE_LEVELS", 0)
    fit = ms.lmm(columns.y, columns.field())
    for new_levels in ("error", "population"):
        with pytest.raises(ValueError, match="place has the new label 77"):
            fit.predict({"place": [77]}, new_levels=new_levels)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_a_precision_is_that_of_the_effects(
    columns: Columns, unit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = columns
    monkeypatch.setattr(terms, "DENSE_LEVELS", 0)
    levels, Q = c.graph
    one, other = (
        ms.lmm(c.y, ms.group(place=c.place, precision=(levels, u * Q)), weights=c.w)
        for u in (1.0, unit)
    )
    assert isinstance(other.factorization, sparse.Factorization)
    assert_allclose(other.criterion, one.criterion, rtol=0, atol=1e-8)
    assert_allclose(other.theta, np.sqrt(unit) * one.theta, rtol=1e-5)
    effects = [fit.random["place"].effects for fit in (other, one)]
    assert_allclose(effects[0], effects[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_fit_can_be_sent_to_another_process(
    columns: Columns, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = columns
    monkeypatch.setattr(terms, "DENSE_LEVELS", 0)
    if family == "gaussian":
        fit: ms.Fit = ms.lmm(c.y, c.field(), ms.group(plot=c.plot))
    else:
        fit = ms.glmm(c.counts, c.field(), ms.group(plot=c.plot), family="poisson")
    assert isinstance(fit.factorization, sparse.Factorization)
    for again in (pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)):
        assert_allclose(again.fitted, fit.fitted, rtol=1e-12)
        assert_allclose(again.criterion, fit.criterion, rtol=1e-12)
        assert again.random["place"].conditional_sd.shape == (len(c.graph.levels), 1)
