"""Small models, each twice: as terms of the library, and as matrices made by numpy alone.

The matrices are in the user's units and order: X of all fixed columns, Z level by level, Lambda
from the theta that a fit reports. `Example.criterion` is the formula of a textbook with an n x n
covariance. Engines are compared with it, and with each other, on the same list.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline, CubicSpline

import mixedsmooth as ms

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Method = Literal["REML", "ML"]
Kind = Literal["full", "diagonal", "scalar"]


# ---- columns of Z ----


@dataclass(frozen=True, eq=False)
class Block:
    """Random effects of one factor: k effects for each of m levels.

    Attributes
    ----------
    columns : ndarray, shape (n, k)
        What the effects of a row's level multiply.
    codes : ndarray of int, shape (n,)
        Level of each row.
    kind : {"full", "diagonal", "scalar"}
        Covariance of the effects of a level.
    """

    columns: FloatArray
    codes: IntArray
    kind: Kind

    @property
    def levels(self) -> int:
        return int(self.codes.max()) + 1

    @property
    def effects(self) -> int:
        return len(self.columns.T)

    @property
    def parameters(self) -> int:
        k = self.effects
        return {"full": k * (k + 1) // 2, "diagonal": k, "scalar": 1}[self.kind]

    @property
    def Z(self) -> FloatArray:  # noqa: N802
        n, k = self.columns.shape
        Z = np.zeros((n, self.levels, k))
        Z[np.arange(n), self.codes] = self.columns
        return Z.reshape(n, -1)

    def factor(self, theta: FloatArray) -> FloatArray:
        """T of one level: the lower triangle column by column, the diagonal, or one number."""
        k = self.effects
        T = np.zeros((k, k))
        if self.kind == "full":
            T.T[np.triu_indices(k)] = theta
        else:  # one number on the diagonal, or k
            np.fill_diagonal(T, theta)
        return T


# ---- what the library gets, and the same by numpy ----


@dataclass(frozen=True, eq=False)
class Grouping:
    """``group(name=labels, slopes...)``."""

    name: str
    codes: IntArray
    slopes: dict[str, FloatArray] = field(default_factory=dict)
    intercept: bool = True
    correlated: bool = True

    def term(self) -> Any:
        labels = np.array([f"{code:05d}" for code in self.codes])
        return ms.group(
            correlated=self.correlated,
            intercept=self.intercept,
            **{self.name: labels},
            **self.slopes,
        )

    @property
    def lines(self) -> list[FloatArray]:
        return []

    @property
    def blocks(self) -> list[Block]:
        ones = [np.ones(len(self.codes))] if self.intercept else []
        columns = np.column_stack([*ones, *self.slopes.values()])
        return [Block(columns, self.codes, "full" if self.correlated else "diagonal")]


@dataclass(frozen=True, eq=False)
class Smoothing:
    """``smooth(name=x, basis=basis, k=k, by=...)``; `by` are numbers, or the codes of labels."""

    name: str
    x: FloatArray
    basis: Literal["cr", "cs", "ps"] = "cs"
    k: int = 6
    by: FloatArray | IntArray | None = None
    shared: bool = False

    def term(self) -> Any:
        by: dict[str, Any] | None = None
        if self.by is not None:
            coded = self.by.dtype.kind == "i"
            by = {"f": [f"l{code}" for code in self.by]} if coded else {"z": self.by}
        column: dict[str, Any] = {self.name: self.x}
        return ms.smooth(basis=self.basis, k=self.k, by=by, shared=self.shared, **column)

    @cached_property
    def _split(self) -> tuple[FloatArray, FloatArray]:
        return _split(*_BASES[self.basis](self.x, self.k))

    @property
    def _weights(self) -> list[FloatArray]:
        if self.by is None:
            return [np.ones(len(self.x))]
        if self.by.dtype.kind == "i":
            return [(self.by == code).astype(float) for code in range(int(self.by.max()) + 1)]
        return [self.by.astype(float)]

    @property
    def lines(self) -> list[FloatArray]:
        if self.shared:
            return []
        return [w * column for w in self._weights for column in self._split[0].T]

    @property
    def blocks(self) -> list[Block]:
        random = self._split[1]
        if self.shared:
            assert self.by is not None
            return [Block(random, self.by.astype(np.intp), "scalar")]
        nobody = np.zeros(len(self.x), dtype=np.intp)
        return [Block(w[:, None] * random, nobody, "scalar") for w in self._weights]


def _cubic(x: FloatArray, k: int) -> tuple[FloatArray, FloatArray]:
    """Natural cubic splines by their values at the knots, and their penalty."""
    knots = np.quantile(np.unique(x), np.linspace(0, 1, k))
    spline = CubicSpline(knots, np.eye(k), bc_type="natural")
    # a natural spline is a straight line beyond its ends
    inside = np.clip(x, knots[0], knots[-1])
    second = spline(knots, 2)
    a, b, h = second[:-1], second[1:], np.diff(knots)[:, None, None]
    # the integral of a product of two straight lines, a to b over h
    S = (h / 6 * (2 * _outer(a, a) + _outer(a, b) + _outer(b, a) + 2 * _outer(b, b))).sum(axis=0)
    return spline(inside), S


def _outer(a: FloatArray, b: FloatArray) -> FloatArray:
    return a[:, :, None] * b[:, None, :]


def _shrunken(x: FloatArray, k: int) -> tuple[FloatArray, FloatArray]:
    """Add 0.1 and 0.01 of the smallest positive eigenvalue for the straight lines."""
    B, S = _cubic(x, k)
    line = np.quantile(np.unique(x), np.linspace(0, 1, k)) - x.min()
    lines = np.linalg.qr(np.column_stack([line, np.ones(k)]))[0]
    smallest = np.linalg.eigvalsh(S)[2]
    return B, S + smallest * (lines * [0.1, 0.01]) @ lines.T


def _p_splines(x: FloatArray, k: int) -> tuple[FloatArray, FloatArray]:
    """Cubic B-splines on equidistant knots, and the squares of second differences."""
    margin = 1e-3 * np.ptp(x)
    low, high = x.min() - margin, x.max() + margin
    knots = low + (high - low) / (k - 3) * np.arange(-3, k + 1)
    D = np.diff(np.eye(k), n=2, axis=0)
    return BSpline(knots, np.eye(k), 3)(x), D.T @ D


_BASES = {"cr": _cubic, "cs": _shrunken, "ps": _p_splines}


def _split(B: FloatArray, S: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return fixed and random columns of the curves that sum to zero over the rows."""
    scale = np.abs(S).sum(axis=0).max() / np.abs(B).sum(axis=1).max() ** 2
    C = scipy.linalg.null_space(B.sum(axis=0)[None, :])
    d, U = np.linalg.eigh(C.T @ S @ C / scale)
    free = d < 1e-10 * d.max()
    return B @ C @ U[:, free], B @ C @ U[:, ~free] / np.sqrt(d[~free])


# ---- the models ----


@dataclass(frozen=True, eq=False)
class Example:
    """A model for small data.

    Attributes
    ----------
    name : str
        What it is called in the names of tests.
    y : ndarray, shape (n,)
        Response.
    random : sequence of Grouping or Smoothing
        Terms with random effects, in the order of theta.
    fixed : dict of ndarray, each of shape (n,)
        Covariates beside the intercept.
    weights : ndarray, shape (n,), or None
        Weights of the rows.
    sigma : float or None
        The residual standard deviation, where it is known.
    covers : sequence of str
        What it is an example of.
    """

    name: str
    y: FloatArray
    random: Sequence[Grouping | Smoothing]
    fixed: dict[str, Any] = field(default_factory=dict)
    weights: FloatArray | None = None
    sigma: float | None = None
    covers: Sequence[str] = ()

    # -- for the library --

    @property
    def terms(self) -> list[Any]:
        return [ms.linear(**self.fixed), *(term.term() for term in self.random)]

    def fit(self, method: Method = "REML", **options: Any) -> ms.Fit:
        """Fit it by the library."""
        return ms.lmm(
            self.y,
            *self.terms,
            method=method,
            weights=self.weights,
            sigma=self.sigma,
            **options,
        )

    # -- by numpy --

    @property
    def n(self) -> int:
        return len(self.y)

    @cached_property
    def X(self) -> FloatArray:  # noqa: N802
        """Intercept, covariates, straight lines of smooths; shape (n, p)."""
        lines = [line for term in self.random for line in term.lines]
        return np.column_stack([np.ones(self.n), *self.fixed.values(), *lines])

    @cached_property
    def blocks(self) -> list[Block]:
        return [block for term in self.random for block in term.blocks]

    @cached_property
    def Z(self) -> FloatArray:  # noqa: N802
        """Columns of all blocks, level by level; shape (n, q)."""
        return np.hstack([block.Z for block in self.blocks])

    @property
    def parameters(self) -> int:
        """How many entries theta has."""
        return sum(block.parameters for block in self.blocks)

    def factors(self, theta: ArrayLike) -> list[FloatArray]:
        """T of each block."""
        ends = np.cumsum([block.parameters for block in self.blocks])[:-1]
        parts = np.split(np.asarray(theta, dtype=np.float64), ends)
        return [block.factor(part) for block, part in zip(self.blocks, parts, strict=True)]

    def Lambda(self, theta: ArrayLike) -> FloatArray:  # noqa: N802
        """Relative covariance factor, shape (q, q)."""
        Lambda: FloatArray = scipy.linalg.block_diag(
            *(
                np.kron(np.eye(block.levels), T)
                for block, T in zip(self.blocks, self.factors(theta), strict=True)
            )
        )
        return Lambda

    def dense(self, theta: ArrayLike, method: Method = "REML") -> "Dense":
        """Criterion and estimates at theta, by the n x n covariance of y."""
        ZL = self.Z @ self.Lambda(theta)
        w = np.ones(self.n) if self.weights is None else self.weights
        # V = Z Lambda Lambda' Z' + W^-1 = L L'
        L = np.linalg.cholesky(ZL @ ZL.T + np.diag(1 / w))
        A = scipy.linalg.solve_triangular(L, np.column_stack([self.X, self.y]), lower=True)
        unit = np.linalg.norm(A, axis=0)  # so that units cost no digits
        Q, R = np.linalg.qr(A[:, :-1] / unit[:-1])
        p = len(R)
        rotated = Q.T @ A[:, -1]
        beta = scipy.linalg.solve_triangular(R, rotated) / unit[:-1]
        residual = A[:, -1] - Q @ rotated
        r2 = float(residual @ residual)
        reml = method == "REML"
        N = self.n - p if reml else self.n
        variance = r2 / N if self.sigma is None else self.sigma**2
        # N log(2 pi sigma^2) + r^2 / sigma^2 + log|V|, and for REML log|X' V^-1 X|
        criterion = N * np.log(2 * np.pi * variance) + r2 / variance
        criterion += 2 * float(np.log(np.diag(L)).sum())
        if reml:
            criterion += 2 * float(np.log(np.abs(np.diag(R)) * unit[:-1]).sum())
        # b = Lambda Lambda' Z' V^-1 (y - X beta)
        solved = scipy.linalg.solve_triangular(L, residual, lower=True, trans="T")
        inverse = scipy.linalg.solve_triangular(R, np.eye(p)) / unit[:-1, None]
        return Dense(
            criterion=float(criterion),
            sigma=float(np.sqrt(variance)),
            beta=beta,
            cov_beta=variance * inverse @ inverse.T,
            b=self.Lambda(theta) @ (ZL.T @ solved),
        )

    def criterion(self, theta: ArrayLike, method: Method = "REML") -> float:
        """Minus twice the (restricted) log-likelihood."""
        return self.dense(theta, method).criterion

    def effects(self, b: FloatArray) -> list[FloatArray]:
        """Return the effects b of all blocks, each as a matrix with a row for each level."""
        sizes = [block.levels * block.effects for block in self.blocks]
        parts = np.split(b, np.cumsum(sizes)[:-1])
        return [
            part.reshape(block.levels, block.effects)
            for block, part in zip(self.blocks, parts, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Dense:
    """What the n x n formulas give at a theta."""

    criterion: float
    sigma: float
    beta: FloatArray
    cov_beta: FloatArray
    b: FloatArray


def examples() -> list[Example]:
    """Make the list of models; the same at every call."""
    rng = np.random.default_rng(20150507)

    def normal(n: int) -> FloatArray:
        return rng.standard_normal(n)

    def uneven(n: int, m: int) -> IntArray:
        """Codes of m levels, the first with many rows, in no order; every level has a row."""
        codes = np.concatenate([np.arange(m), rng.geometric(2.5 / m, n - m) % m])
        return rng.permutation(codes).astype(np.intp)

    n = 80
    x, z, t = normal(n), 5 + 2 * normal(n), np.sort(rng.random(n))
    g, h, f = uneven(n, 7), uneven(n, 5), uneven(n, 3)
    inner = np.unique(3 * g + rng.integers(0, 3, n), return_inverse=True)[1].astype(np.intp)
    even = np.arange(n, dtype=np.intp) % 6
    noise = normal(n)
    by_g, by_h, slope = normal(7)[g], normal(5)[h], normal(7)[g]
    curve = np.sin(6 * t)
    w = rng.uniform(0.2, 4.0, n)
    y = 3 + x + by_g + noise
    lone = np.concatenate([np.arange(20), np.arange(n - 20) % 4]).astype(np.intp)

    return [
        Example("intercepts", y, [Grouping("g", g)], {"x": x}, covers=["unbalanced"]),
        Example(
            "balanced", x + normal(6)[even] + noise, [Grouping("g", even)], covers=["balanced"]
        ),
        Example("no covariate", by_g + noise, [Grouping("g", g)], covers=["an intercept only"]),
        Example(
            "slopes",
            y + slope * (z - 5),
            [Grouping("g", g, {"z": z})],
            {"z": z},
            covers=["slopes", "correlated"],
        ),
        Example(
            "independent slopes",
            y + normal(7)[g] * x,
            [Grouping("g", g, {"x": x}, correlated=False)],
            {"x": x},
            covers=["slopes", "independent"],
        ),
        Example(
            "slopes alone",
            3 + normal(7)[g] * z + noise,
            [Grouping("g", g, {"z": z}, intercept=False)],
            {"z": z},
            covers=["slopes", "no intercept"],
        ),
        Example(
            "three effects",
            slope * (z - 5) + 3 * normal(7)[g] * x + normal(7)[g] + noise / 3,
            [Grouping("g", g, {"x": x, "z": z})],
            {"x": x, "t": t},
            covers=["slopes", "correlated", "three effects"],
        ),
        Example(
            "three independent effects",
            y + normal(7)[g] * x + 9 * normal(7)[g] * t,
            [Grouping("g", g, {"x": x, "t": t}, correlated=False)],
            {"x": x},
            covers=["slopes", "independent", "three effects"],
        ),
        Example(
            "crossed",
            y + by_h,
            [Grouping("g", g), Grouping("h", h)],
            {"x": x},
            covers=["crossed", "two factors"],
        ),
        Example(
            "small factor first",
            y + by_h,
            [Grouping("h", h), Grouping("g", g, {"x": x})],
            covers=["crossed", "two factors", "order", "slopes"],
        ),
        Example(
            "crossed slopes",
            y + 3 * normal(5)[h] + by_h * z + 2 * slope * x,
            [Grouping("g", g, {"x": x}), Grouping("h", h, {"z": z}, correlated=False)],
            {"x": x, "z": z},
            covers=["crossed", "slopes", "independent", "correlated"],
        ),
        Example(
            "nested",
            by_g + normal(inner.max() + 1)[inner] + noise,
            [Grouping("g", g), Grouping("inner", inner)],
            {"x": x},
            covers=["nested", "two factors"],
        ),
        Example(
            "three factors",
            y + by_h + normal(3)[f],
            [Grouping("f", f), Grouping("g", g), Grouping("h", h)],
            {"x": x},
            covers=["crossed", "three factors", "order"],
        ),
        Example(
            "one factor twice",
            y + normal(7)[g] * x,
            [Grouping("g", g), Grouping("g", g, {"x": x}, intercept=False)],
            {"x": x},
            covers=["one factor in two terms"],
        ),
        Example(
            "one row a level",
            normal(20)[lone] + noise,
            [Grouping("g", lone)],
            {"x": x},
            covers=["one row a level", "unbalanced"],
        ),
        Example(
            "weights",
            y + 2 * slope * (z - 5) + noise / w,
            [Grouping("g", g, {"z": z})],
            {"x": x, "z": z},
            weights=w,
            covers=["weights", "slopes"],
        ),
        Example("known sigma", y, [Grouping("g", g)], {"x": x}, sigma=1.3, covers=["known sigma"]),
        Example(
            "known variances",
            y,
            [Grouping("g", g), Grouping("h", h)],
            weights=w,
            sigma=1.0,
            covers=["known sigma", "weights", "crossed"],
        ),
        Example(
            "singular",
            3 + x + noise - np.bincount(g, noise)[g] / np.bincount(g)[g],
            [Grouping("g", g)],
            {"x": x},
            covers=["singular"],
        ),
        Example(
            "singular slopes",
            (f - 1.0) * (1 + x) + noise,
            [Grouping("f", f, {"x": x})],
            {"x": x},
            covers=["singular", "slopes", "correlated"],
        ),
        Example(
            "smooth", curve + noise / 3, [Smoothing("t", t, "cr", 8)], covers=["smooth", "a line"]
        ),
        Example("smooth with shrinkage", curve + noise / 3, [Smoothing("t", t)], covers=["smooth"]),
        Example(
            "two smooths",
            curve + x**2 + noise / 3,
            [Smoothing("t", t, "ps", 7), Smoothing("x", x, "cs", 5)],
            covers=["smooth", "two smooths"],
        ),
        Example(
            "smooth and group",
            curve + by_g + slope * (z - 5) + noise / 3,
            [Smoothing("t", t, "cr", 6), Grouping("g", g, {"z": z})],
            {"z": z},
            covers=["smooth", "smooth and group", "slopes"],
        ),
        Example(
            "curve by numbers",
            x * curve + noise / 3,
            [Smoothing("t", t, "cs", 6, by=x)],
            {"x": x},
            covers=["smooth", "by numbers"],
        ),
        Example(
            "curves by labels",
            np.where(f == 1, curve, 0) + noise / 3,
            [Smoothing("t", t, "cr", 5, by=f)],
            {"x": x},
            covers=["smooth", "by labels", "a line", "singular"],
        ),
        Example(
            "shared curves",
            normal(7)[g] * curve + x**2 + noise / 3,
            [Smoothing("t", t, "cs", 5, by=g, shared=True), Smoothing("x", x, "ps", 5)],
            covers=["smooth", "shared curves"],
        ),
        Example(
            "weighted smooth and crossed",
            curve + by_g + by_h + noise / w,
            [Smoothing("t", t, "cs", 5), Grouping("g", g), Grouping("h", h)],
            {"x": x},
            weights=w,
            covers=["smooth", "smooth and group", "crossed", "weights"],
        ),
    ]


EXAMPLES = {example.name: example for example in examples()}
every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=list(EXAMPLES))
