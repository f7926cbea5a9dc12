"""Tensor products: a surface over several covariates, a variance for each way to bend (chapter 12).

    bases of one covariate -> what bends, constant and line -> products of these -> blocks

Each margin is a cubic regression spline in its natural parameters: columns that bend, with the
penalty b'b, and a constant and a straight line without one. A product of columns, one of each
margin, bends in some of the covariates. All those that bend in the same ones make a block, with a
variance of its own. So units do not matter, and as no column has two penalties, the surface is a
mixed model like any other.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import product
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixedsmooth._checks import choice
from mixedsmooth.model.bases import Basis, cr
from mixedsmooth.model.smooths import Scaling, Split, scale_of, split

FloatArray = NDArray[np.float64]


class Margin(NamedTuple):
    """A basis of one covariate in its natural parameters.

    Attributes
    ----------
    basis : Basis
        The basis.
    bent : ndarray, shape (k, r)
        Takes b, whose penalty is a multiple of b'b, to coefficients of the basis.
    straight : ndarray, shape (k, 2)
        Takes the coefficients of a constant and a straight line to those of the basis.

    Examples
    --------
    >>> margin = natural(cr(np.arange(9), k=5), np.arange(9))
    >>> print((margin.basis.columns([0, 4, 8]) @ margin.straight).round(3))
    [[ 1.039 -1.515]
     [ 1.039 -0.03 ]
     [ 1.039  1.456]]
    """

    basis: Basis
    bent: FloatArray
    straight: FloatArray


def tensor(
    columns: Sequence[FloatArray], k: Sequence[int], names: Sequence[str], scaling: Scaling = "norm"
) -> Split:
    """Make the tensor product of cubic regression splines.

    Of d covariates there are 2^d - 1 blocks: one for each choice of those in which the surface
    bends. Products of constants and lines alone have no penalty. These sum to zero over the data,
    and the others need not: so it is in mgcv, whose likelihoods are met.

    Parameters
    ----------
    columns : sequence of ndarray, each of shape (n,)
        Covariates, two or more.
    k : sequence of int
        Size of the basis of each, at least 3.
    names : sequence of str
        What the covariates are called.
    scaling : {"norm", "mean"}
        Unit of the penalties; see `mixedsmooth.model.smooths.split`.

    Returns
    -------
    Split
        Fixed and random columns for any values of the covariates. Its blocks are in mgcv's order:
        that which bends in all covariates, first; then, of two, that which bends in the second.

    Raises
    ------
    ValueError
        If a covariate is not finite or has fewer than k distinct values, a k is below 3, `scaling`
        is unknown, or values are so uneven that a penalty is singular to working precision.

    References
    ----------
    Wood, Scheipl and Faraway (2013), Statistics and Computing 23, 341-360; mgcv 1.8-41,
    ``smooth.construct.t2.smooth.spec``.

    Examples
    --------
    >>> x, y = np.arange(20.0), np.arange(20.0) * 7 % 20
    >>> surface = tensor([x, y], (5, 4), ("x", "y"))
    >>> print(surface.blocks, [to.shape[1] for to in surface.to_random], surface.to_fixed.shape[1])
    ('both', 'y', 'x') [6, 4, 6] 3
    """
    choice("scaling", scaling, ("norm", "mean"))
    margins = [
        natural(cr(x, size, name=name), x) for x, size, name in zip(columns, k, names, strict=True)
    ]
    # in which covariates a block bends: in the order of mgcv, the first changes fastest
    bends = [backwards[::-1] for backwards in product((True, False), repeat=len(margins))]
    *penalized, free = to_basis = [_products(margins, block) for block in bends]
    basis = _basis(margins, bends)
    B = basis.columns(*columns)
    # 1'B beta = 0 where beta = free Z_c gamma  (eq-10-zero)
    Z_c: FloatArray = scipy.linalg.qr((B.sum(axis=0) @ free)[:, None])[0][:, 1:]
    all_columns = B @ np.hstack(to_basis)
    of_block = np.repeat(np.arange(len(bends)), [to.shape[1] for to in to_basis])
    scales = [
        scale_of(all_columns, np.diag((of_block == block).astype(float)), scaling)
        for block in range(len(penalized))
    ]
    return Split(
        basis,
        Z_c,
        scales[0],
        to_fixed=free @ Z_c,
        # b'b of the natural parameters is scale times that of the random effects
        to_random=tuple(to * np.sqrt(scale) for to, scale in zip(penalized, scales, strict=True)),
        blocks=tuple(_name(names, block) for block in bends[:-1]),
    )


def natural(basis: Basis, x: FloatArray) -> Margin:
    """Split a cubic regression spline into what bends, a constant and a straight line.

    What bends has a mean square of 1 over the data. So have, together, the constant and the line.
    They are made as in mgcv: of two lines, one zero at the first knot and one at right angles to
    it, each of mean square 1, by a rotation. In a block both share a variance, so their sizes
    matter. They do not depend on units, but a little on which end of x is the first.

    Parameters
    ----------
    basis : Basis
        Of kind "cr".
    x : ndarray, shape (n,)
        The data.

    Returns
    -------
    Margin
        The three.

    Raises
    ------
    ValueError
        If values of x are so uneven that the penalty is singular to working precision.

    References
    ----------
    mgcv 1.8-41, ``nat.param`` with type 3. It takes for the two lines the eigenvectors of the
    eigenvalue zero, which rounding errors make these two.

    Examples
    --------
    >>> x = np.arange(9.0)
    >>> margin = natural(cr(x, k=5), x)
    >>> columns = margin.basis.columns(x) @ margin.bent
    >>> print(columns.shape, (columns**2).mean().round(6))
    (9, 3) 1.0
    """
    B = basis.columns(x)
    (bent,) = split(replace(basis, centered=False, scaled=False), x).to_random
    # the two lines in their values at the knots, orthonormal
    lines = scipy.linalg.qr(
        np.column_stack([basis.knots - basis.knots[0], np.ones_like(basis.knots)]), mode="economic"
    )[0]
    norm = _root_mean_square(B @ lines, axis=0)
    # a constant: its coefficients by the lines of mean square 1, and those at right angles to them
    flat = norm * lines.sum(axis=0)
    flat = flat / np.linalg.norm(flat)
    turn = np.column_stack([flat, [-flat[1], flat[0]]])
    straight = lines / norm @ turn
    # signs are free: the constant is positive, and the line increases
    straight = straight * np.sign([straight[0, 0], straight[-1, 1] - straight[0, 1]])
    return Margin(basis, bent / _root_mean_square(B @ bent), straight)


def _root_mean_square(columns: FloatArray, axis: int | None = None) -> FloatArray:
    return np.asarray(np.sqrt(np.mean(columns**2, axis=axis)))


def _products(margins: Sequence[Margin], bends: Sequence[bool]) -> FloatArray:
    """Coefficients of the products of columns that bend in some covariates, shape (K, r)."""
    maps = [m.bent if bent else m.straight for m, bent in zip(margins, bends, strict=True)]
    # (B_1 u) (B_2 v) = (B_1 x B_2) (u kron v), where x is the row-wise product
    return reduce(lambda u, v: np.asarray(np.kron(u, v), dtype=np.float64), maps)


def _basis(margins: Sequence[Margin], bends: Sequence[Sequence[bool]]) -> Basis:
    """All products of one column of each margin; its penalty is the sum of those of the blocks."""
    bases = [margin.basis for margin in margins]
    # columns of a margin that bend are at right angles to its lines, so E b = 1 for each block
    duals = [Margin(m.basis, _dual(m.bent), _dual(m.straight)) for m in margins]
    knots = np.stack([g.ravel() for g in np.meshgrid(*(b.knots for b in bases), indexing="ij")], 1)
    return Basis(
        kind="t2",
        names=tuple(name for basis in bases for name in basis.names),
        knots=knots,
        domain=tuple(limits for basis in bases for limits in basis.domain),
        root=np.hstack([_products(duals, block) for block in bends[:-1]]).T,
        evaluate=partial(_rowwise, bases=bases),
    )


def _dual(to: FloatArray) -> FloatArray:
    """Transpose of what takes coefficients back: to' dual = I."""
    return np.asarray(np.linalg.pinv(to).T, dtype=np.float64)


def _rowwise(*x: FloatArray, bases: Sequence[Basis]) -> FloatArray:
    """Row-wise Kronecker product of the columns of the margins, shape (n, K)."""
    first, *others = (basis.evaluate(v) for basis, v in zip(bases, x, strict=True))
    for B in others:
        first = (first[:, :, None] * B[:, None, :]).reshape(len(B), -1)
    return first


def _name(names: Sequence[str], bends: Sequence[bool]) -> str:
    """Name of a block: the covariates in which it bends."""
    if all(bends):
        return "both" if len(names) == 2 else "all"
    return ":".join(name for name, bent in zip(names, bends, strict=True) if bent)
