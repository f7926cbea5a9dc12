"""Levels that depend on each other: a covariance or a precision, graphs, and pedigrees."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import gammaln

import mixedsmooth as ms
from mixedsmooth.inference.parameters import parameters
from mixedsmooth.model import structures, terms
from mixedsmooth.model.terms import Group

FloatArray = NDArray[np.float64]


# ---- by dense matrices ----


def criterion(fit: ms.Fit, V: FloatArray, X: FloatArray, reml: bool = True) -> float:
    """Minus twice the (restricted) log-likelihood of a textbook, V the covariance of y."""
    y, (n, p) = fit.model.y, X.shape
    W = np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
    r = y - X @ beta
    value = np.linalg.slogdet(V)[1] + r @ W @ r + n * np.log(2 * np.pi)
    if reml:
        value += np.linalg.slogdet(X.T @ W @ X)[1] - p * np.log(2 * np.pi)
    return float(value)


def indicators(labels: Any, levels: Any) -> FloatArray:
    return np.asarray(np.asarray(labels)[:, None] == np.asarray(levels), dtype=float)


def known(kind: str, labels: Any, given: Any) -> Group:
    """Make the effects of labels, by a covariance or a precision."""
    options: dict[str, Any] = {kind: given}
    return ms.group(g=labels, **options)


def random_covariance(m: int, rng: np.random.Generator) -> FloatArray:
    root = rng.normal(size=(m, m + 2))
    return np.asarray(root @ root.T / m)


def random_graph(sizes: Sequence[int], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs of a graph of trees and some edges more; its components have these sizes."""
    pairs, first = [], 0
    for size in sizes:
        pairs += [(first + int(rng.integers(i)), first + i) for i in range(1, size)]
        extra = rng.integers(first, first + size, size=(size // 2, 2))
        pairs += [(int(i), int(j)) for i, j in extra if i != j]
        first += size
    return pairs


# ---- a covariance ----


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_a_covariance_by_dense_matrices(seed: int, method: Any) -> None:
    rng = np.random.default_rng(seed)
    m, n = 12, 40
    levels = [f"l{i}" for i in rng.permutation(m)]
    K, x = random_covariance(m, rng), rng.normal(size=n)
    labels = np.array(levels)[rng.integers(0, m - 3, n)]  # three have no data
    Z, X, w = indicators(labels, levels), np.column_stack([np.ones(n), x]), rng.uniform(0.5, 2, n)
    b = np.linalg.cholesky(K) @ rng.normal(size=m)
    y = 2 + x + Z @ b + rng.normal(size=n) / np.sqrt(w)
    term = ms.group(g=labels, covariance=(levels, K))
    fit = ms.lmm(y, ms.linear(x=x), term, weights=w, method=method)
    r = fit.random["g"]
    tau2, C = float(r.cov[0, 0]), r.cov[0, 0] * K
    V = Z @ C @ Z.T + fit.sigma**2 * np.diag(1 / w)
    W = np.linalg.inv(V)
    assert_allclose(fit.criterion, criterion(fit, V, X, method == "REML"), rtol=1e-11)
    for scale in (0.98, 1.02):  # of tau, and of sigma: no other place is lower
        for other in (
            V + (scale - 1) * Z @ C @ Z.T,
            V + (scale - 1) * fit.sigma**2 * np.diag(1 / w),
        ):
            assert criterion(fit, other, X, method == "REML") > fit.criterion
    residual = y - X @ fit.beta
    assert_array_equal(r.levels, levels)
    assert r.names == ["(Intercept)"]
    assert_allclose(r.effects[:, 0], C @ Z.T @ W @ residual, atol=1e-9)
    assert_allclose(r.conditional_cov[:, 0, 0], np.diag(C - C @ Z.T @ W @ Z @ C), atol=1e-9)
    assert_allclose(fit.theta, [np.sqrt(tau2) / fit.sigma])
    # an effect with the uncertainty of beta, of levels with data and without
    new: dict[str, Any] = {"x": np.full(m, 0.3), "g": levels}
    X_new = np.column_stack([np.ones(m), new["x"]])
    D = X_new - C @ Z.T @ W @ X
    P = np.linalg.inv(X.T @ W @ X)
    variance = np.diag(C - C @ Z.T @ W @ Z @ C + D @ P @ D.T)
    found = fit.predict_interval(new)
    assert_allclose(found.value, X_new @ fit.beta + r.effects[:, 0], atol=1e-9)
    assert_allclose(found.se, np.sqrt(variance), rtol=1e-8)


def test_a_slope_has_a_covariance_too() -> None:
    rng = np.random.default_rng(3)
    m, n = 8, 60
    K, x, codes = random_covariance(m, rng), rng.normal(size=n), rng.integers(0, m, n)
    y = rng.normal(size=n) + x * (np.linalg.cholesky(K) @ rng.normal(size=m))[codes]
    slopes = ms.group(g=codes, x=x, intercept=False, covariance=(range(m), K))
    fit = ms.lmm(y, ms.linear(x=x), slopes, ms.group(h=codes % 3))
    Z = indicators(codes, range(m)) * x[:, None]
    H = indicators(codes % 3, range(3))
    V = fit.random["g"].cov[0, 0] * Z @ K @ Z.T + fit.random["h"].cov[0, 0] * H @ H.T
    V += fit.sigma**2 * np.eye(n)
    assert_allclose(fit.criterion, criterion(fit, V, np.column_stack([np.ones(n), x])), rtol=1e-11)
    assert fit.random["g"].names == ["x"]
    assert parameters(fit).names[:2] == ["sd x | g", "sd (Intercept) | h"]


def small() -> tuple[FloatArray, NDArray[Any], FloatArray]:
    rng = np.random.default_rng(7)
    labels = np.repeat(list("abcdef"), 4)
    effects = np.linalg.cholesky(random_covariance(6, rng)) @ rng.normal(size=6)
    y = np.repeat(effects, 4) + rng.normal(size=24)
    return y, labels, random_covariance(6, rng)


def test_independent_levels_are_those_of_a_plain_group() -> None:
    y, labels, _ = small()
    plain = ms.lmm(y, ms.group(g=labels))
    for kind in ("covariance", "precision"):
        fit = ms.lmm(y, known(kind, labels, (list("abcdef"), np.eye(6))))
        assert_allclose(fit.criterion, plain.criterion, rtol=1e-12)
        assert_allclose(parameters(fit).values, parameters(plain).values, rtol=1e-6)
        assert parameters(fit).names == parameters(plain).names
        assert_allclose(fit.random["g"].effects, plain.random["g"].effects, atol=1e-6)
        assert_allclose(fit.random["g"].conditional_sd, plain.random["g"].conditional_sd, rtol=1e-6)
        assert fit.edf == pytest.approx(plain.edf, rel=1e-6)
        for df in ("satterthwaite", "kenward-roger"):
            assert_allclose(fit.coefficients(df).df, plain.coefficients(df).df, rtol=1e-5)
        one, other = (ms.variance_test(f, "g") for f in (fit, plain))
        assert one.term == other.term == "sd (Intercept) | g"
        assert_allclose((one.statistic, one.p), (other.statistic, other.p), rtol=1e-6)
        ends = [f.confint(likelihood="REML") for f in (fit, plain)]
        assert ends[0].names == ends[1].names
        assert_allclose(ends[0].lower, ends[1].lower, rtol=1e-5)
        assert_allclose(ends[0].upper, ends[1].upper, rtol=1e-5)
        left_out = fit.influence("g"), plain.influence("g")
        assert_allclose(left_out[0].cook, left_out[1].cook, rtol=1e-3)


def test_a_precision_is_the_inverse_of_a_covariance() -> None:
    y, labels, K = small()
    fits = [
        ms.lmm(y, ms.group(g=labels, covariance=(list("abcdef"), K))),
        ms.lmm(y, ms.group(g=labels, precision=(list("abcdef"), np.linalg.inv(K)))),
    ]
    assert_allclose(fits[1].criterion, fits[0].criterion, rtol=1e-11)
    assert_allclose(fits[1].random["g"].effects, fits[0].random["g"].effects, atol=1e-6)


@pytest.mark.parametrize("kind", ["covariance", "precision"])
def test_a_factor_of_the_matrix_is_one_of_the_variance(kind: str) -> None:
    y, labels, K = small()
    one = ms.lmm(y, known(kind, labels, (list("abcdef"), K)))
    other = ms.lmm(y, known(kind, labels, (list("abcdef"), 4e6 * K)))
    assert_allclose(other.criterion, one.criterion, rtol=1e-12)
    ratio = float(other.random["g"].cov[0, 0] / one.random["g"].cov[0, 0])
    assert ratio == pytest.approx(1 / 4e6 if kind == "covariance" else 4e6, rel=1e-5)


@pytest.mark.parametrize("kind", ["covariance", "precision", "graph"])
def test_the_order_and_the_kind_of_labels_do_not_matter(kind: str) -> None:
    y, labels, K = small()
    if kind == "graph":
        kind, K = (
            "precision",
            ms.neighbours([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 3)]).Q.toarray(),
        )
    numbers = np.array([{c: 10 * i for i, c in enumerate("abcdef")}[c] for c in labels])
    order = np.array([3, 0, 5, 1, 4, 2])
    shuffled = np.random.default_rng(0).permutation(len(y))
    one = ms.lmm(y, known(kind, labels, (list("abcdef"), K)))
    again = (10 * order, K[np.ix_(order, order)])
    other = ms.lmm(y[shuffled], known(kind, numbers[shuffled], again))
    assert_allclose(other.criterion, one.criterion, rtol=1e-12)
    assert_allclose(other.random["g"].effects, one.random["g"].effects[order], atol=1e-6)


def test_shared_branches_are_those_of_gls() -> None:
    # R 4.2.2, ape 5.7, nlme 3.1-162: tree <- read.tree(text = "((((a:1,b:1):1,c:2):1,
    # (d:1.5,e:1.5):1.5):2,((f:0.5,g:0.5):2.5,(h:2,i:2):1):2);"); gls(y ~ x, d, corPagel(0.7, tree,
    # form = ~species), method = "REML", control = glsControl(tolerance = 1e-10, msTol = 1e-11)):
    # logLik, lambda, sigma, coef, their standard errors; K <- vcv(tree)
    loglik, share, sd = -16.8291264771875, 0.6673117238837, 2.3655589544894
    beta, se = (0.9771242121282, 0.6976847243242), (1.1702737539311, 0.8404313963312)
    K = np.zeros((9, 9))
    for clade, depth in (
        ("abcde", 2),
        ("abc", 3),
        ("ab", 4),
        ("de", 3.5),
        ("fghi", 2),
        ("fg", 4.5),
        ("hi", 3),
    ):
        rows = ["abcdefghi".index(tip) for tip in clade]
        K[np.ix_(rows, rows)] = depth
    np.fill_diagonal(K, 5.0)
    x = [0.3, 1.1, -0.4, 0.8, 1.9, -1.2, -0.6, 0.1, -0.9]
    y = [6.2, 2.4, 2.0, 1.7, 2.4, -1.1, -1.5, 0.6, -1.7]
    tips = list("abcdefghi")
    fit = ms.lmm(y, ms.linear(x=x), ms.group(species=tips, covariance=(tips, K)))
    # its sigma^2 lambda is 5 tau^2, as all tips are 5 from the root
    of_tree = 5 * float(fit.random["species"].cov[0, 0])
    assert fit.loglik == pytest.approx(loglik, abs=1e-9)
    assert of_tree / (of_tree + fit.sigma**2) == pytest.approx(share, rel=1e-5)
    assert np.sqrt(of_tree + fit.sigma**2) == pytest.approx(sd, rel=1e-5)
    assert_allclose(fit.beta, beta, rtol=1e-5)
    assert_allclose(fit.se, se, rtol=1e-5)


# ---- a precision with free means ----


def columbus(**options: Any) -> ms.Fit:
    data = ms.load_columbus()
    street = ms.neighbours(data.pairs)
    return ms.lmm(data.crime, ms.group(district=data.district, precision=street), **options)


def test_columbus_is_that_of_mgcv() -> None:
    # R 4.2.2, mgcv 1.8-41: gam(crime ~ s(district, bs = "mrf", xt = list(polys = columb.polys)),
    # data = columb, method = "REML", control = gam.control(newton = list(conv.tol = 1e-12)))
    fit = columbus()
    assert fit.criterion / 2 == pytest.approx(198.269182689117, abs=1e-9)
    assert sum(fit.edf.values()) == pytest.approx(26.945521832228, rel=1e-7)
    assert fit.sigma**2 == pytest.approx(82.566296522736, rel=1e-7)
    first = [18.817531240992, 22.124967397006, 30.133144726173, 33.143038782535]
    assert_allclose(fit.fitted[:4], first, rtol=1e-7)
    assert fit.edf["fixed"] == 1.0
    assert fit.on_boundary is False


@pytest.mark.parametrize("most", [0, 10_000])
@pytest.mark.parametrize("seed", range(6))
def test_a_field_by_dense_matrices(seed: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "DENSE_LEVELS", most)  # by a sparse precision, and by its root
    rng = np.random.default_rng(seed)
    sizes = [(9,), (7, 5), (6, 4, 1, 3)][seed % 3]
    pairs, m, n = random_graph(sizes, rng), sum(sizes), 50
    levels, Q = ms.neighbours(pairs, levels=range(m))
    of_level = np.repeat(np.arange(len(sizes)), sizes)
    codes = np.concatenate([np.flatnonzero(np.diff(of_level, prepend=-1)), rng.integers(0, m, n)])
    codes = codes[codes != 1]  # that one has no data
    n, x = len(codes), rng.normal(size=len(codes))
    w = rng.uniform(0.5, 2.0, n)
    g = np.linalg.pinv(Q.toarray()) @ rng.normal(size=m) * 2
    y = 1 + x + of_level[codes] + g[codes] + rng.normal(size=n) / np.sqrt(w)
    field = ms.group(d=codes, precision=(levels, Q))
    fit = ms.lmm(y, ms.linear(x=x), field, ms.group(h=np.arange(n) % 4), weights=w)
    # b = P g, P takes off the mean of a component over its rows
    Z, H = indicators(codes, range(m)), indicators(np.arange(n) % 4, range(4))
    P = np.eye(m)
    for c in range(len(sizes)):
        own = np.flatnonzero(of_level == c)
        P[np.ix_(own, own)] -= Z[:, own].sum(axis=0) / Z[:, own].sum()
    C = P @ np.linalg.pinv(Q.toarray()) @ P.T
    islands = [(of_level[codes] == c).astype(float) for c in range(1, len(sizes))]
    X = np.column_stack([np.ones(n), x, *islands])
    b, h = fit.random["d"], fit.random["h"]
    V = b.cov[0, 0] * Z @ C @ Z.T + h.cov[0, 0] * H @ H.T + fit.sigma**2 * np.diag(1 / w)
    assert fit.names[2:] == [f"d[component {c}]" for c in range(2, len(sizes) + 1)]
    assert_allclose(fit.criterion, criterion(fit, V, X), rtol=1e-10)
    W = np.linalg.inv(V)
    effects = b.cov[0, 0] * C @ Z.T @ W @ (y - X @ fit.beta)
    assert_allclose(b.effects[:, 0], effects, atol=1e-8)
    variance = b.cov[0, 0] * C - b.cov[0, 0] ** 2 * C @ Z.T @ W @ Z @ C
    assert_allclose(b.conditional_sd[:, 0], np.sqrt(np.abs(np.diag(variance))), atol=1e-7)
    assert_allclose(Z.sum(axis=0) @ b.effects, 0.0, atol=1e-8)
    # a level without data is the mean of its neighbors
    near = np.flatnonzero(Q.toarray()[1] < 0)
    assert b.effects[1, 0] == pytest.approx(float(b.effects[near, 0].mean()), abs=1e-8)
    mean = fit.predict({"x": [0.0], "d": [1], "h": [0]}, effects=False)
    assert fit.predict({"x": [0.0], "d": [1], "h": [0]})[0] == pytest.approx(
        float(mean[0] + b.effects[1, 0] + h.effects[0, 0])
    )


def test_components_and_levels_without_data_are_told() -> None:
    rng = np.random.default_rng(0)
    levels, Q = ms.neighbours([("a", "b"), ("b", "c"), ("d", "e")], levels=list("edcbaf"))
    labels = rng.choice(list("abef"), 40)
    fit = ms.lmm(rng.normal(size=40), ms.group(g=labels, precision=(levels, Q)))
    told = str(fit)
    assert "g: the precision leaves the means of 3 components free, of 2 levels (e, d)" in told
    assert "g: 2 of 6 levels have no data" in told
    assert "levels: 6 g" in told
    assert fit.names == ["(Intercept)", "g[component 2]", "g[component 3]"]
    assert fit.random["g"].effects[5, 0] == 0.0  # a level alone is its column of X
    assert "the precision leaves the mean free" in str(columbus())


def test_a_field_beside_effects_of_the_same_districts() -> None:
    rng = np.random.default_rng(5)
    street = ms.neighbours([(i, i + 1) for i in range(9)])
    codes = rng.integers(0, 9, 80)  # the tenth has no data
    y = np.sin(codes) + rng.normal(size=10)[codes] + rng.normal(size=80) / 2
    own = ms.group(d=codes), ms.group(d=codes, precision=street)
    for both in (own, own[::-1]):
        fit = ms.lmm(y, *both)
        assert list(fit.random) == ["d", "d.1"]
        field = next(r for r in fit.random.values() if len(r.levels) == 10)
        plain = next(r for r in fit.random.values() if len(r.levels) == 9)
        value = fit.beta[0] + field.effects[:, 0] + np.append(plain.effects[:, 0], 0.0)
        assert_allclose(fit.predict({"d": range(9)}), value[:9])
        with pytest.raises(ValueError, match=r"d has the new label 9.*new_levels"):
            fit.predict({"d": [9]})
        assert_allclose(fit.predict({"d": range(10)}, new_levels="population"), value)
        unknown = fit.predict_interval({"d": [9]}, new_levels="population").se[0] ** 2
        assert unknown > plain.cov[0, 0]
        with pytest.raises(ValueError, match="d has the new label 10"):
            fit.predict({"d": [10]}, new_levels="population")
        assert fit.influence("d").levels.tolist() == list(range(9))


def test_a_row_without_a_value_is_as_if_it_had_never_been() -> None:
    y, labels, _ = small()
    street = ms.neighbours(["ab", "bc", "cd", "de", "ef"])
    some: list[Any] = [None if i in (2, 9) else c for i, c in enumerate(labels)]
    dropped = ms.lmm(y, ms.group(g=some, precision=street), missing="drop")
    rows = np.delete(np.arange(24), [2, 9])
    fit = ms.lmm(y[rows], ms.group(g=labels[rows], precision=street))
    assert dropped.criterion == fit.criterion
    assert_array_equal(dropped.random["g"].effects, fit.random["g"].effects)


def test_what_is_simulated_has_the_covariance() -> None:
    y, labels, K = small()
    fit = ms.lmm(y, ms.group(g=labels, covariance=(list("abcdef"), K)))
    Z = indicators(labels, list("abcdef"))
    V = fit.random["g"].cov[0, 0] * Z @ K @ Z.T + fit.sigma**2 * np.eye(24)
    drawn = fit.simulate(4000, seed=1)
    # the standard deviation of an entry is sqrt((V_ij^2 + V_ii V_jj) / 4000)
    sd = np.sqrt((V**2 + np.outer(np.diag(V), np.diag(V))) / 4000)
    assert np.abs((np.cov(drawn.T) - V) / sd).max() < 4.5
    again = ms.bootstrap(fit, n=20, seed=1)
    assert again.names == parameters(fit).names


def test_nested_fits_are_compared() -> None:
    y, labels, K = small()
    known = (list("abcdef"), K)
    less = ms.lmm(y, ms.group(g=labels, covariance=known))
    more = ms.lmm(y, ms.group(g=labels), ms.group(g=labels, covariance=known))
    assert not np.isnan(ms.compare(less, more).p[1])
    other = ms.lmm(y, ms.group(g=labels), ms.group(h=np.arange(24) % 5))
    assert "its variances are not among" in str(ms.compare(less, other))


# ---- generalized models ----


@pytest.mark.parametrize("kind", ["covariance", "field"])
def test_counts_by_a_dense_laplace_approximation(kind: str) -> None:
    rng = np.random.default_rng(2)
    m, n = 10, 60
    codes, x = rng.integers(0, m - 1, n), rng.normal(size=n)
    Z = indicators(codes, range(m))
    if kind == "field":
        levels, Q = ms.neighbours(random_graph([m], rng))
        P = np.eye(m) - np.outer(np.ones(m), Z.mean(axis=0))
        C = P @ np.linalg.pinv(Q.toarray()) @ P.T
        term = ms.group(g=codes, precision=(levels, Q))
    else:
        C = random_covariance(m, rng)
        term = ms.group(g=codes, covariance=(range(m), C))
    y = rng.poisson(np.exp(0.5 + 0.3 * x + rng.normal(size=m)[codes])).astype(float)
    fit = ms.glmm(y, ms.linear(x=x), term)
    e, U = np.linalg.eigh(C)
    root = Z @ (U[:, e > 1e-10] * np.sqrt(e[e > 1e-10])) * fit.random["g"].sd[0]
    offset, u = fit.beta[0] + fit.beta[1] * x, np.zeros(root.shape[1])
    for _ in range(50):
        mu = np.exp(offset + root @ u)
        H = root.T @ (mu[:, None] * root) + np.eye(len(u))
        u = u + np.linalg.solve(H, root.T @ (y - mu) - u)
    mu = np.exp(offset + root @ u)
    loglik = y @ np.log(mu) - mu.sum() - gammaln(y + 1).sum() - u @ u / 2
    assert fit.criterion == pytest.approx(-2 * loglik + np.linalg.slogdet(H)[1], abs=1e-7)
    assert_allclose(fit.fitted, mu, rtol=1e-6)


# ---- graphs ----


PAIRS = [("b", "c"), ("a", "b"), ("c", "b"), ("a", "b")]
LAPLACIAN = [[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]]


@pytest.mark.parametrize(
    "pairs",
    [
        PAIRS,
        tuple(PAIRS),
        {"one": [p[0] for p in PAIRS], "other": [p[1] for p in PAIRS]},
        np.array(PAIRS),
        np.array(PAIRS, dtype=object),
        pd.DataFrame(PAIRS),
        pd.DataFrame(PAIRS, columns=["one", "other"]).astype("category"),
        (pair for pair in PAIRS),
    ],
)
def test_neighbors_in_any_form(pairs: Any) -> None:
    levels, Q = ms.neighbours(pairs)
    assert_array_equal(levels, ["a", "b", "c"])
    assert_array_equal(Q.toarray(), LAPLACIAN)


def test_neighbors_with_all_levels() -> None:
    levels, Q = ms.neighbours([(3, 1)], levels=[3, 2, 1])
    assert_array_equal(levels, [3, 2, 1])
    assert_array_equal(Q.toarray(), [[1, 0, -1], [0, 0, 0], [-1, 0, 1]])


def test_a_sparse_and_a_dense_precision_are_the_same() -> None:
    y, labels, _ = small()
    levels, Q = ms.neighbours(["ab", "bc", "cd", "de", "ef"])
    kinds = Q, Q.tocoo(), scipy.sparse.csc_matrix(Q), Q.toarray(), Q.toarray().astype(int).tolist()
    fits = [ms.lmm(y, ms.group(g=labels, precision=(levels, given))) for given in kinds]
    assert len({fit.criterion for fit in fits}) == 1


# ---- pedigrees ----


# Mrode (2005), Linear Models for the Prediction of Animal Breeding Values, table 2.1, and its A
MRODE = [(3, 1, 2), (4, 1, None), (5, 4, 3), (6, 5, 2)]
OF_MRODE = [
    [1.0, 0.0, 0.5, 0.5, 0.5, 0.25],
    [0.0, 1.0, 0.5, 0.0, 0.25, 0.625],
    [0.5, 0.5, 1.0, 0.25, 0.625, 0.5625],
    [0.5, 0.0, 0.25, 1.0, 0.625, 0.3125],
    [0.5, 0.25, 0.625, 0.625, 1.125, 0.6875],
    [0.25, 0.625, 0.5625, 0.3125, 0.6875, 1.125],
]


@pytest.mark.parametrize(
    "pedigree",
    [
        MRODE,
        MRODE[::-1],
        {animal: (sire, dam) for animal, sire, dam in MRODE},
        {"animal": [3, 4, 5, 6], "sire": [1, 1, 4, 5], "dam": [2, None, 3, 2]},
        pd.DataFrame(MRODE, columns=["animal", "sire", "dam"]),
        pd.DataFrame(MRODE, columns=["animal", "sire", "dam"]).astype("Int64"),
        np.array(MRODE, dtype=object),
        np.array(MRODE, dtype=float),
        [(1, None, None), *MRODE],
    ],
)
def test_the_pedigree_of_a_textbook_in_any_form(pedigree: Any) -> None:
    found = ms.relationship(pedigree)
    levels, A = found
    assert levels.dtype.kind == "i"
    order = np.argsort(levels)
    assert_array_equal(levels[order], [1, 2, 3, 4, 5, 6])
    assert_array_equal(A[np.ix_(order, order)], OF_MRODE)
    assert_array_equal(found.inbreeding[order], [0, 0, 0, 0, 0.125, 0.125])
    assert_array_equal(found.mendelian[order], [1, 1, 0.5, 0.75, 0.5, 0.46875])
    assert_allclose(found.inverse @ A, np.eye(6), atol=1e-14)


@pytest.mark.parametrize("seed", range(8))
def test_random_pedigrees_by_recursion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(2, 40))
    names = [f"{chr(97 + i % 26)}{i}" for i in rng.permutation(m)]
    parents: dict[str, tuple[str | None, str | None]] = {}
    for i, name in enumerate(names):
        known = [names[int(rng.integers(i))] if i and rng.random() < 0.8 else None for _ in "sd"]
        parents[name] = (known[0], known[1])  # both may be the same: a plant that selfs
    old = {name: i for i, name in enumerate(names)}

    def related(one: str | None, other: str | None) -> float:
        """By paths: that of the younger one through its parents."""
        if one is None or other is None:
            return 0.0
        if one == other:
            return 1 + related(*parents[one]) / 2
        if old[one] < old[other]:
            one, other = other, one
        return (related(parents[one][0], other) + related(parents[one][1], other)) / 2

    order = rng.permutation(m)
    found = ms.relationship([(names[i], *parents[names[i]]) for i in order])
    wanted = [[related(a, b) for b in found.levels] for a in found.levels]
    assert_allclose(found.A, wanted, atol=1e-14)
    assert_allclose(1 + found.inbreeding, np.diag(wanted), atol=1e-14)
    assert_allclose(found.inverse @ found.A, np.eye(len(found.levels)), atol=1e-10)


def test_a_pedigree_as_a_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    pedigree = [(i, int(rng.integers(1, 5)), int(rng.integers(5, 10))) for i in range(10, 40)]
    pedigree += [(i, int(rng.integers(10, 25)), int(rng.integers(25, 40))) for i in range(40, 70)]
    found = ms.relationship(pedigree)
    animal = np.repeat(np.arange(20, 70), 2)  # two records each; parents have none
    L, at = np.linalg.cholesky(found.A), {name: i for i, name in enumerate(found.levels.tolist())}
    b = L @ rng.normal(size=69)
    y = b[[at[a] for a in animal.tolist()]] + rng.normal(size=100)
    fit = ms.lmm(y, ms.group(animal=animal, covariance=found))
    pair = ms.lmm(y, ms.group(animal=animal, covariance=tuple(found)))
    assert pair.criterion == fit.criterion
    assert_array_equal(fit.random["animal"].levels, found.levels)
    monkeypatch.setattr(structures, "WITH_INVERSE", 10)
    by_inverse = ms.lmm(y, ms.group(animal=animal, covariance=found))
    assert_allclose(by_inverse.criterion, fit.criterion, rtol=1e-11)
    assert_allclose(by_inverse.random["animal"].effects, fit.random["animal"].effects, atol=1e-6)
    # with an effect of its own that is not inherited
    both = ms.lmm(y, ms.group(animal=animal, covariance=found), ms.group(animal=animal))
    assert both.criterion <= fit.criterion + 1e-7
    assert "animal: 19 of 69 levels have no data" in str(both)


def test_a_large_a_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "DENSE_ANIMALS", 5)
    found = ms.relationship(MRODE)
    with pytest.raises(ValueError, match=r"A of 6 animals .*inverse"):
        found.A  # noqa: B018
    assert found.inverse.shape == (6, 6)


# ---- what cannot be told apart ----


def test_effects_that_vary_as_residuals_do_are_refused() -> None:
    y, labels = np.arange(6.0) ** 2, list("abcdef")
    shared = np.eye(6) + 0.5  # what all share is the intercept's
    complete = ms.neighbours([(a, b) for a in labels for b in labels if a < b])
    cases: list[tuple[str, Any]] = [
        ("covariance", (labels, np.eye(6))),
        ("covariance", (labels, shared)),
        ("precision", complete),
    ]
    for kind, given in cases:
        term = known(kind, labels, given)
        with pytest.raises(ValueError, match="cannot be told apart"):
            ms.lmm(y, term)
        ms.lmm(y, term, sigma=1.0)
    K = np.eye(6)
    K[0, 1] = K[1, 0] = 0.5
    ms.lmm(y, ms.group(g=labels, covariance=(labels, K)))


def test_a_likelihood_without_a_maximum_is_told() -> None:
    # with a level for each row ML rises without end as sigma falls; REML does not
    data = ms.load_columbus()
    field = ms.group(district=data.district, precision=ms.neighbours(data.pairs))
    with pytest.raises(ValueError, match=r'rises without end.*"REML"'):
        ms.lmm(data.crime, ms.linear(income=data.income), field, method="ML")
    with pytest.raises(ValueError, match=r'rises without end.*"REML"'):
        columbus().confint()
    assert columbus().confint(likelihood="REML").lower[0] > 10
    assert ms.variance_test(columbus(), "district", n=1000, seed=1).p < 0.01


# ---- coefficients that vary ----


def test_a_coefficient_without_its_mean_is_told() -> None:
    data = ms.load_ethanol()
    c, e = data.compression, data.equivalence
    curve = ms.smooth(e=e, by={"c": c}, basis="cr", k=5)
    with pytest.warns(
        UserWarning, match=r"s\(e\):c is a coefficient of c .*add c to linear\(\)"
    ) as caught:
        fit = ms.lmm(data.nox, curve)
    assert caught[0].filename == __file__
    assert "s(e):c is a coefficient of c" in str(fit)
    columns = {"nox": data.nox, "e": e, "c": c}
    with pytest.warns(UserWarning, match="is a coefficient of c") as caught:
        ms.lmm_formula("nox ~ s(e, by=c, k=5)", columns)
    assert caught[0].filename == __file__
    # none where the column is in X, or is a combination of its columns; none for a refit
    ms.lmm(data.nox, ms.linear(c=c), curve)
    ms.lmm(data.nox, ms.linear(double=2 * c + 1), curve)
    ms.lmm_formula("nox ~ poly(c, 2) + s(e, by=c, k=5)", columns)
    fit.refit("ML")
    ms.lmm(data.nox, ms.smooth(e=e, by={"level": np.where(c > 10, "high", "low")}, k=5))


def test_slopes_of_a_field_without_their_mean_are_told() -> None:
    y, labels, _ = small()
    x, street = np.cos(np.arange(24.0)), ms.neighbours(["ab", "bc", "cd", "de", "ef"])
    slopes = ms.group(g=labels, x=x, intercept=False, precision=street)
    with pytest.warns(UserWarning, match="g is a coefficient of x"):
        ms.lmm(y, slopes)
    ms.lmm(y, ms.linear(x=x), slopes)
    proper = ms.group(
        g=labels, x=x, intercept=False, precision=(street.levels, street.Q + np.eye(6))
    )
    ms.lmm(y, proper)


# ---- terms with their own levels of one factor ----


def test_terms_with_another_order_of_levels_are_matched_by_label() -> None:
    y, labels, _ = small()
    turned = pd.Categorical(labels, categories=list("fedcba"))
    one = ms.lmm(
        y,
        ms.linear(u=ms.labels(labels, first="c")),
        ms.group(g=labels),
        ms.group(h=np.arange(24) % 5),
    )
    term = ms.group(g=turned)
    other = ms.lmm(
        y,
        ms.linear(u=ms.labels(labels, first="c")),
        replace(term, factor="g"),
        ms.group(h=np.arange(24) % 5),
    )
    assert_allclose(other.fitted, one.fitted)
    fit = ms.lmm(y, ms.group(g=labels, x=np.arange(24.0), intercept=False), ms.group(g=turned))
    plain = ms.lmm(y, ms.group(g=labels, x=np.arange(24.0), intercept=False), ms.group(g=labels))
    assert_array_equal(fit.random["g.1"].levels, list("fedcba"))
    assert_allclose(fit.random["g.1"].effects[::-1], plain.random["g.1"].effects, atol=1e-6)
    assert_allclose(fit.predict({"g": labels, "x": np.arange(24.0)}), fit.fitted)
