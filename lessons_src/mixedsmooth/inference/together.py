"""Fits of one model to many responses at once, as arrays (chapter 13).

The replicates of a bootstrap share X and Z; only y differs. So their cross-products differ in the
row of y alone, and what takes time in a small fit, to call a function, is done once for a thousand
of them. The search is a quasi-Newton method in which each replicate has its own theta, curvature
and length of step, and leaves when it is done.

Levels of the head whose blocks Z_j'WZ_j are equal share H_j too. The criterion sees them through
sums over such levels, so a balanced design costs no more than one level.

All arrays have the replicate as their first axis. The equations are those of
`mixedsmooth.model.blocked`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from mixedsmooth.inference.parameters import natural
from mixedsmooth.model import blocked
from mixedsmooth.model.covariance import Scalar, pack, unpack
from mixedsmooth.model.engine import LARGEST, indicators
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.optimize import NEARLY_ZERO, PREDICTED_DECREASE, unit_steps

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

TAIL = 64  # columns of Z outside the largest factor, X and y: more take longer than their calls
LEVELS = 4_000_000  # numbers in the pairs of all levels
CLASSES = 4_000  # numbers in the blocks of all classes: more take longer than one by one
CHUNK = 4_000_000  # numbers that the replicates of one search may fill
AT_ONCE = 1_000  # replicates
ROUNDS = 100  # evaluations of one search
FLAT = 1e-14  # relative decrease that is rounding
SUFFICIENT = 1e-3  # share of the foretold decrease that a step must have
LONGEST = 2.0  # step, in units in which the curvature is about 1
INSIDE = 0.3  # diagonal entry of T from which a search begins, at least


class Optima(NamedTuple):
    """Fits to many responses.

    Attributes
    ----------
    T : tuple of ndarray, each of shape (R, k, k)
        Relative covariance factors of the terms, in scaled columns.
    sigma : ndarray, shape (R,)
        Residual standard deviations.
    beta : ndarray, shape (R, p)
        Fixed effects.
    criterion : ndarray, shape (R,)
        Minus twice the (restricted) log-likelihoods.
    singular : ndarray of bool, shape (R,)
        Where a variance is zero, or a correlation 1 or -1.
    found : ndarray of bool, shape (R,)
        Where the search came to its end. Elsewhere the other entries mean nothing.
    """

    T: tuple[FloatArray, ...]
    sigma: FloatArray
    beta: FloatArray
    criterion: FloatArray
    singular: BoolArray
    found: BoolArray


class State(NamedTuple):
    """The criterion of each replicate at its theta.

    Attributes
    ----------
    deviance, variance : ndarray, shape (R,)
        The profiled (restricted) deviance, and sigma^2 there.
    slope : ndarray, shape (R, d)
        Derivatives by theta.
    beta : ndarray, shape (R, p)
        Fixed effects of the scaled columns.
    """

    deviance: FloatArray
    variance: FloatArray
    slope: FloatArray
    beta: FloatArray


@dataclass(frozen=True, eq=False)
class Design:
    """What the responses share. Its levels are classes: those of the head with equal blocks.

    Attributes
    ----------
    fit : Fit
        The fit whose model it is.
    head : ndarray, shape (k, k, c)
        Z_j'WZ_j of a level of each class.
    count : ndarray, shape (c,)
        Levels in each class.
    sums : ndarray, shape (k k c, s s)
        C_j[a, s] C_j[b, t], summed over the levels of a class; the s columns are those of Z outside
        the head, then X.
    tail : ndarray, shape (s, s)
        Cross-products of these columns.
    to_head : sparse array, shape (J k, n)
        Takes y to Z_j'Wy of the head, its levels sorted by class.
    to_tail : sparse array, shape (s, n)
        Takes y to its cross-products with these columns.
    to_sums : sparse array, shape (k k c s, J k)
        Takes Z_j'Wy to C_j[a, s] (Z_j'Wy)[b], summed over the levels of a class.
    first : ndarray of int, shape (c,)
        First level of each class.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", sleep)
    >>> design = design_of(fit)
    >>> design.count  # all 18 subjects have the same days
    array([18.])
    >>> together = design.search(fit.simulate(5, seed=1))
    >>> one = fit.with_response(fit.simulate(5, seed=1)[4])
    >>> bool(abs(together.criterion[4] - one.criterion) < 1e-6)
    True
    """

    fit: Fit
    head: FloatArray
    count: FloatArray
    sums: FloatArray
    tail: FloatArray
    to_head: scipy.sparse.csr_array
    to_tail: scipy.sparse.csr_array
    to_sums: scipy.sparse.csr_array
    first: IntArray

    @property
    def products(self) -> blocked.Products:
        """The cross-products of the fit, of which those without y are shared."""
        A = self.fit.factorization.A
        assert isinstance(A, blocked.Products)
        return A

    @property
    def at_once(self) -> int:
        """How many replicates to search at once."""
        s = len(self.tail)
        effects = int(self.to_head.shape[0])
        numbers = self.fit.n + effects + len(self.sums) * (s + 4) + 8 * s**2
        return max(1, min(AT_ONCE, CHUNK // numbers))

    def search(self, y: FloatArray) -> Optima:
        """Fit the model to each row of y, shape (R, n)."""
        fit, problem = self.fit, self.fit.problem
        beta_0, y_scale = fit.scales
        offset = 0.0 if fit.offset is None else fit.offset
        # y = offset + X beta_0 + y_scale times the inner y
        known = offset + problem.X @ np.linalg.solve(problem.K, beta_0)
        responses = Responses.of(self, (y - known) / y_scale)
        theta, found = _descend(responses, *self._start())
        theta, ended = _zeros(responses, theta)
        found &= ended & (np.abs(theta).max(axis=1) <= LARGEST)
        state = responses.state(theta)
        T = unpack(theta, fit.model.covariances)
        return Optima(
            T=tuple(T),
            sigma=y_scale * np.sqrt(state.variance),
            beta=beta_0 + y_scale * state.beta @ problem.K.T,
            criterion=state.deviance + problem.offset(y_scale, fit.method == "REML"),
            singular=np.any([np.any(_diagonal(T_f) == 0, axis=1) for T_f in T], axis=0),
            found=found,
        )

    def _start(self) -> tuple[FloatArray, FloatArray]:
        """Theta of the fit, moved inside where a variance is zero; and a unit."""
        f, covariances = self.fit.factorization, self.fit.model.covariances
        T = [inside(T_f) for T_f in f.T]
        degrees = f.A.factorize(T).degrees_of_freedom(self.fit.method == "REML")
        return pack(T, covariances), unit_steps(T, degrees, covariances)


def inside(T: FloatArray) -> FloatArray:
    """Move T away from the boundary, for a search to begin: there the slope vanishes.

    Parameters
    ----------
    T : ndarray, shape (k, k)
        Relative covariance factor in scaled columns.

    Returns
    -------
    ndarray, shape (k, k)
        The same with larger entries on its diagonal, if they are small.

    Examples
    --------
    >>> print(inside(np.array([[2.0, 0.0], [1.0, 0.0]])))
    [[2. 0. ]
     [1. 0.3]]
    """
    return np.asarray(T + np.diag(np.maximum(INSIDE - T.diagonal(), 0)))


def serves(fit: Fit) -> bool:
    """Tell whether the responses of a fit can be searched together.

    Parameters
    ----------
    fit : Fit
        Any fit.

    Returns
    -------
    bool
        True for linear mixed models by ML or REML with random effects of groups, of which one
        factor may have many levels. Smooths, whose criterion may have several minima, are not
        among them.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> volvo = ms.load_volvo()
    >>> serves(ms.lmm(volvo.wear, ms.smooth(size=volvo.size, k=9)))
    False
    """
    A = fit.factorization.A
    if isinstance(fit, GeneralizedFit) or fit.method == "GCV" or not fit.model.groups:
        return False
    if not isinstance(A, blocked.Products):
        return False
    if any(isinstance(covariance, Scalar) for covariance in A.covariances):
        return False
    k, _, J = A.head.shape
    t = len(A.tail)
    if t > TAIL or J * (k * t) ** 2 > LEVELS:
        return False
    representative, _ = _classes(A)
    return bool(len(representative) * k**2 <= CLASSES)


def _classes(A: blocked.Products) -> tuple[IntArray, IntArray]:
    """One level of each class, and the class of each level."""
    blocks = A.head.reshape(-1, A.head.shape[2]).T
    rounded = np.round(blocks / np.abs(blocks).max(), 13)
    _, representative, classes = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    return representative, classes.reshape(-1)


def design_of(fit: Fit) -> Design:
    """Prepare what the responses of a fit share.

    Parameters
    ----------
    fit : Fit
        A fit that `serves` accepts.

    Returns
    -------
    Design
        The design.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.load_pastes()
    >>> fit = ms.lmm(pastes.strength, ms.group(batch=pastes.batch), ms.group(cask=pastes.cask))
    >>> design = design_of(fit)
    >>> design.head.shape, design.tail.shape  # 10 batches alike; 3 casks and the intercept
    ((1, 1, 1), (4, 4))
    """
    A, problem = fit.factorization.A, fit.problem
    assert isinstance(A, blocked.Products)
    k, _, J = A.head.shape
    s = len(A.tail) - 1
    representative, classes = _classes(A)
    count = np.bincount(classes)
    order, first = np.argsort(classes, kind="stable"), np.cumsum(count) - count
    # C of each level, sorted by class, shape (J, k, s)
    parts = [np.stack([block.toarray() for block in A.sparse], axis=1)] if A.sparse else []
    C = np.concatenate([*parts, A.dense[:, :-1].transpose(2, 0, 1)], axis=2)[order]
    pairs = np.add.reduceat(np.einsum("jas,jbt->jabst", C, C), first, axis=0)
    # C_j[a, s] in row (a, b, class, s) and column (j, b)
    j, a, b, column = (axis.ravel() for axis in np.indices((J, k, k, s)))
    row = ((a * k + b) * len(count) + classes[order][j]) * s + column
    to_sums = scipy.sparse.coo_array(
        (C[j, a, column], (row, j * k + b)), shape=(len(count) * k * k * s, J * k)
    )
    head, others = A.parted(problem.factors)
    rows, w = np.arange(fit.n), fit.model.weights
    X = scipy.sparse.csr_array(problem.X)
    Z_t = [indicators(others, rows, fit.n, w)] if others else []
    by_class = (order[:, None] * k + np.arange(k)).ravel()
    return Design(
        fit=fit,
        head=np.ascontiguousarray(A.head[:, :, representative]),
        count=count.astype(np.float64),
        sums=pairs.transpose(1, 2, 0, 3, 4).reshape(-1, s * s),
        tail=A.tail[:-1, :-1],
        to_head=indicators([head], rows, fit.n, w).T.tocsr()[by_class],
        to_tail=scipy.sparse.hstack([*Z_t, X if w is None else X * w[:, None]]).T.tocsr(),
        to_sums=to_sums.tocsr(),
        first=first,
    )


@dataclass(frozen=True, eq=False)
class Responses:
    """The cross-products of many responses with a design, in inner units.

    Attributes
    ----------
    design : Design
        What they share.
    sums : ndarray, shape (R, k k c, s)
        C_j[a, s] (Z_j'Wy)[b], summed over the levels of a class.
    squares : ndarray, shape (R, k k c)
        (Z_j'Wy)[a] (Z_j'Wy)[b], summed over the levels of a class.
    tail : ndarray, shape (R, s)
        Cross-products with the columns outside the head.
    square : ndarray, shape (R,)
        y'Wy.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> design = design_of(ms.lmm([1.0, 2.0, 4.0, 5.0], ms.group(g=[0, 0, 1, 1]), method="ML"))
    >>> responses = Responses.of(design, np.array([[1.0, 2.0, 4.0, 5.0], [1.0, 2.0, 5.0, 8.0]]))
    >>> state = responses.state(np.array([[2.0], [2.0]]))
    >>> print(state.deviance.round(4), state.beta.ravel(), state.slope[1].round(4))
    [12.9734 18.4059] [3. 4.] [0.5079]
    """

    design: Design
    sums: FloatArray
    squares: FloatArray
    tail: FloatArray
    square: FloatArray

    @classmethod
    def of(cls, design: Design, y: FloatArray) -> "Responses":
        """Form the cross-products of responses, shape (R, n)."""
        w, k, R = design.fit.model.weights, len(design.head), len(y)
        of_head = np.ascontiguousarray((design.to_head @ y.T).T)
        C_y = of_head.reshape(R, -1, k)
        pairs = np.add.reduceat(C_y[..., None] * C_y[..., None, :], design.first, axis=1)
        return cls(
            design=design,
            sums=np.ascontiguousarray((design.to_sums @ of_head.T).T).reshape(
                R, len(design.sums), len(design.tail)
            ),
            squares=pairs.transpose(0, 2, 3, 1).reshape(R, -1),
            tail=np.ascontiguousarray((design.to_tail @ y.T).T),
            square=np.einsum("rn,rn->r", y, y if w is None else w * y),
        )

    def some(self, chosen: BoolArray | IntArray) -> "Responses":
        """Return some of the replicates."""
        rows = self.sums[chosen], self.squares[chosen], self.tail[chosen], self.square[chosen]
        return Responses(self.design, *rows)

    def state(self, theta: FloatArray) -> State:
        """Compute the criterion and its slope at a theta of each replicate, shape (R, d)."""
        design, R = self.design, len(theta)
        A, model, reml = design.products, design.fit.model, design.fit.method == "REML"
        T = unpack(theta, model.covariances)
        T_h, T_t = A.parted(T)
        m, s = A.m, len(design.tail)
        # H_j = T' A_j T + I,  P_j = T H_j^-1,  M_j = P_j T'
        H = _left(_transposed(T_h), _right(design.head[None], T_h))
        np.einsum("raac->rac", H)[...] += 1  # a view of the diagonals
        H_inverse, log_pivots = _inverse(H)
        P = _left(T_h, H_inverse)
        M = _right(P, _transposed(T_h))
        # L L' = Lambda' A~ Lambda + I (no I for X and y)
        reduced, Lambda = self._reduced(M), _lambda(A, T_t)
        L = _cholesky(_transposed(Lambda) @ reduced @ Lambda + np.diag(np.arange(s + 1) < m))
        r2, N = L[:, s, s] ** 2, A.n - A.p if reml else A.n
        s2 = r2 / N
        if model.sigma is not None:
            s2 = np.full(R, (model.sigma / design.fit.scales.y_scale) ** 2)
        # d = log|L_Z|^2 (+ log|L_X|^2) + N log(2 pi sigma^2) + r^2 / sigma^2  (eq-7-deviance)
        counted = s if reml else m
        log_det = log_pivots @ design.count + 2 * np.log(_diagonal(L)[:, :counted]).sum(axis=1)
        deviance = log_det + N * np.log(2 * np.pi * s2) + r2 / s2 - A.log_weights
        # Q = S_R^-1 + w w' / sigma^2,  w = (-u, -beta, 1)  (eq-7-q)
        coefficients = _solved(_transposed(L[:, :s, :s]), L[:, s, :s, None])[:, :, 0]
        w = np.concatenate([-coefficients, np.ones((R, 1))], axis=1)
        Q = w[:, :, None] * w[:, None, :] / s2[:, None, None]
        identity = np.broadcast_to(np.eye(counted), (R, counted, counted))
        root = _solved(L[:, :counted, :counted], identity)
        Q[:, :counted, :counted] += _transposed(root) @ root
        # dd/dT of the head = 2 sum_j (A_j - E_j + A_j M_j E_j) P_j,  E_j = C_j Lambda Q Lambda'C_j'
        # (eq-7-gradient)
        E = self._between(Lambda @ Q @ _transposed(Lambda)).reshape(H.shape)
        A_M = np.einsum("abc,rbdc->radc", design.head, M)
        inner = design.count * design.head - E + np.einsum("rabc,rbdc->radc", A_M, E)
        head = 2 * np.einsum("rabc,rbdc->rad", inner, P)
        by_T = A.joined(head, _tail_slopes(A, reduced @ Lambda, Q))
        return State(deviance, s2, pack(by_T, model.covariances), coefficients[:, m:])

    def _reduced(self, M: FloatArray) -> FloatArray:
        """Compute what the head leaves to the tail and y, shape (R, s + 1, s + 1)."""
        by_pair, s = M.reshape(len(M), -1), len(self.design.tail)
        reduced = np.empty((len(M), s + 1, s + 1))
        # A~ = A_tt - sum_j C_j' M_j C_j  (eq-7-reduced)
        reduced[:, :s, :s] = self.design.tail - (by_pair @ self.design.sums).reshape(-1, s, s)
        reduced[:, :s, s] = self.tail - (by_pair[:, None] @ self.sums)[:, 0]
        reduced[:, s, :s] = reduced[:, :s, s]
        reduced[:, s, s] = self.square - np.einsum("re,re->r", by_pair, self.squares)
        return reduced

    def _between(self, G: FloatArray) -> FloatArray:
        """C_j G C_j', summed over the levels of each class, shape (R, k, k, c)."""
        (k, _, c), s = self.design.head.shape, len(self.design.tail)
        of_tail = G[:, :s, :s].reshape(len(G), -1) @ self.design.sums.T
        of_both = (self.sums @ G[:, :s, s, None]).reshape(-1, k, k, c)
        of_y = G[:, s, s, None] * self.squares
        return (of_tail + of_y).reshape(-1, k, k, c) + of_both + of_both.swapaxes(1, 2)


def _lambda(A: blocked.Products, T: list[FloatArray]) -> FloatArray:
    """Lambda of the tail, with ones for X and y."""
    R, t = (len(T[0]) if T else 1), len(A.tail)
    Lambda = np.tile(np.eye(t), (R, 1, 1))
    for (rows, (levels, k, _)), T_f in zip(A.tail_rows, T, strict=True):
        blocks = np.einsum("lg,rab->rlagb", np.eye(levels), T_f)
        Lambda[:, rows, rows] = blocks.reshape(R, levels * k, -1)
    return Lambda


def _tail_slopes(A: blocked.Products, scaled: FloatArray, Q: FloatArray) -> list[FloatArray]:
    """Return the slopes of the tail: 2 A~ Lambda Q, its diagonal blocks summed over the levels."""
    slopes = []
    for rows, (levels, k, _) in A.tail_rows:
        shape = (len(Q), levels, k, -1)
        ours, theirs = scaled[:, rows].reshape(shape), Q[:, rows].reshape(shape)
        slopes.append(2 * np.einsum("rlat,rlbt->rab", ours, theirs))
    return slopes


# ---- the search ----


def _descend(
    responses: Responses, start: FloatArray, unit: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Minimize the criterion of each replicate by BFGS, all from one start.

    In each round every replicate that is not done tries one point. If it is low enough, the
    replicate goes on from there; otherwise its step is shortened.

    References
    ----------
    Nocedal and Wright (2006), algorithm 6.1 and section 3.1.
    """
    R, d = len(responses.square), len(start)
    tolerance = 1e-5 + responses.design.fit.factorization.A.error
    x, found = np.tile(start / unit, (R, 1)), np.zeros(R, dtype=bool)
    state = responses.state(x * unit)
    value, slope = state.deviance, state.slope * unit
    inverse = np.tile(np.eye(d), (R, 1, 1))  # of the curvature
    step, length = _bounded(-slope), np.ones(R)
    going = np.arange(R)
    for _ in range(ROUNDS):
        here = responses.some(going)
        reached = x[going] + length[going, None] * step[going]
        try:
            state = here.state(reached * unit)
        except np.linalg.LinAlgError:  # of one of them; each is searched alone then
            break
        new_slope = state.slope * unit
        along = np.einsum("rd,rd->r", slope[going], step[going]) * length[going]
        gain = value[going] - state.deviance
        # a gain below rounding is as good as none
        flat = np.abs(gain) <= FLAT * np.maximum(np.abs(value[going]), 1)
        low = (gain >= -SUFFICIENT * along) | flat
        accepted = going[low]
        s, y = reached[low] - x[accepted], new_slope[low] - slope[accepted]
        inverse[accepted] = _updated(inverse[accepted], s, y)
        x[accepted], slope[accepted] = reached[low], new_slope[low]
        value[accepted] = state.deviance[low]
        newton = -np.einsum("rde,re->rd", inverse[accepted], slope[accepted])
        step[accepted], length[accepted] = _bounded(newton), 1.0
        decrease = -np.einsum("rd,rd->r", newton, slope[accepted]) / 2
        done = (np.abs(slope[accepted]).max(axis=1) <= tolerance) | flat[low]
        found[accepted[done]] = decrease[done] <= PREDICTED_DECREASE
        # the minimum of the parabola through both values and the first slope
        bend = -gain[~low] - along[~low]
        shorter = np.clip(-along[~low] / (2 * bend), 0.1, 0.5)
        length[going[~low]] *= shorter
        over = np.zeros(R, dtype=bool)
        over[accepted[done]] = True
        going = going[~over[going] & (length[going] > 1e-10)]
        if not len(going):
            break
    return x * unit, found


def _updated(inverse: FloatArray, s: FloatArray, y: FloatArray) -> FloatArray:
    """Update inverse curvatures by a step s and the change y of the slope, where they agree."""
    sy = np.einsum("rd,rd->r", s, y)
    sound = sy > 1e-12 * np.linalg.norm(s, axis=1) * np.linalg.norm(y, axis=1)
    scale = np.where(sound, 1 / np.where(sound, sy, 1), 0.0)[:, None, None]
    # (I - s y' / s'y) B (I - y s' / s'y) + s s' / s'y;  with a scale of zero nothing changes
    left = np.eye(s.shape[1]) - scale * s[:, :, None] * y[:, None, :]
    updated: FloatArray = left @ inverse @ _transposed(left)
    return updated + scale * s[:, :, None] * s[:, None, :]


def _bounded(step: FloatArray) -> FloatArray:
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return np.asarray(step * np.minimum(1, LONGEST / np.maximum(length, LONGEST)))


def _zeros(responses: Responses, theta: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Set variances to zero where that is the optimum, as `optimize.leave_boundary` does.

    Returns theta, and where it is the end: elsewhere the criterion is lower a little further out.
    """
    covariances, ended = responses.design.fit.model.covariances, np.ones(len(theta), dtype=bool)
    diagonal = [
        at
        for at, (row, column) in enumerate(
            entry for c in covariances for entry in zip(*c.entries, strict=True)
        )
        if row == column
    ]
    for at in diagonal:
        near = np.flatnonzero(np.abs(theta[:, at]) <= NEARLY_ZERO)
        if not len(near):
            continue
        some, moved = responses.some(near), theta[near]
        values = []
        for entry in (moved[:, at].copy(), 0.0, NEARLY_ZERO / 3):
            moved[:, at] = entry
            values.append(some.state(moved).deviance)
        here, at_zero, outside = values
        ended[near] &= outside >= np.minimum(here, at_zero)
        rounding = np.maximum(1e-8, 1e-12 * np.abs(here))
        theta[near, at] = np.where(at_zero <= here + rounding, 0.0, theta[near, at])
    return theta, ended


# ---- many small matrices ----


def _transposed(B: FloatArray) -> FloatArray:
    return B.swapaxes(-1, -2)


def _left(T: FloatArray, B: FloatArray) -> FloatArray:
    """T B_c of each class, for T of shape (R, k, k) and B of shape (R, k, k, c)."""
    R, k, _, c = B.shape
    return np.asarray((T @ B.reshape(R, k, -1)).reshape(len(T), k, k, c))


def _right(B: FloatArray, T: FloatArray) -> FloatArray:
    """B_c T of each class."""
    return np.asarray(_transposed(T)[:, None] @ B)


def _inverse(H: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverses of the blocks of each class, and log|H_c|, as `blocked` sweeps them: in place."""
    swept, log_pivots = H.copy(), np.zeros((len(H), H.shape[3]))
    for a in range(H.shape[1]):
        pivot = swept[:, a, a].copy()
        column = swept[:, :, a] / pivot[:, None]
        swept -= column[:, :, None] * swept[:, a, None]
        swept[:, a] = swept[:, :, a] = column
        swept[:, a, a] = -1 / pivot
        log_pivots += np.log(pivot)
    return -swept, log_pivots


def _cholesky(B: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.cholesky(B), dtype=np.float64)


def _solved(B: FloatArray, C: FloatArray) -> FloatArray:
    """B^-1 C."""
    return np.asarray(np.linalg.solve(B, C), dtype=np.float64)


def _diagonal(B: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("...aa->...a", B))


# ---- what a reader asks for ----


def parameters_of(optima: Optima, fit: Fit) -> FloatArray:
    """List the parameters of each replicate in the order of `inference.parameters`.

    Parameters
    ----------
    optima : Optima
        The fits.
    fit : Fit
        The fit whose model they have.

    Returns
    -------
    ndarray, shape (R, K)
        Standard deviations and correlations, sigma unless it is known, and beta.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.load_pastes()
    >>> fit = ms.lmm(pastes.strength, ms.group(batch=pastes.batch))
    >>> y = fit.simulate(2, seed=1)
    >>> again = fit.with_response(y[1])
    >>> found = parameters_of(design_of(fit).search(y), fit)[1]
    >>> print(found.round(3), again.random["batch"].sd.round(3), round(again.sigma, 3))
    [ 1.744 2.127 60.418] [1.744] 2.127
    """
    values = []
    for T, back, covariance in zip(optima.T, fit.problem.back, fit.model.covariances, strict=True):
        root = optima.sigma[:, None, None] * (back @ T)
        values.append(natural(root @ _transposed(root), covariance))
    if fit.model.sigma is None:
        values.append(optima.sigma)
    return np.column_stack([*values, optima.beta])
