"""What is wrong with an answer: a list of small questions, asked in order.

Each takes the numbers that were given and the `Target`, and returns a `Finding` or None. A slip is
recognized by undoing it: if the square root of what was given is right, a square was given. No
finding tells a digit of the answer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Quantity: TypeAlias = Literal[
    "", "standard deviation", "variance", "log-likelihood", "negative log-likelihood", "deviance"
]

SMALL = 0.01  # an entry below this part of the largest need not be right to as many digits
NEAR = 0.02  # relative distance that is called close
COMMON_FACTOR = "all off by a common factor: a missing square root, 2 or n, or other units"
NOT_THE_SAME = (
    "close, but not the same: an approximation, a search that stopped early, numbers rounded on "
    "the way, or another estimate"
)
ROUNDING = 1e-9  # relative error of the computer's arithmetic


@dataclass(frozen=True)
class Finding:
    """The result of a diagnosis.

    Attributes
    ----------
    kind : str
        A word for it: ``"right"``, ``"sign"``, ``"shape"``, ...
    message : str
        What to tell the reader.

    Examples
    --------
    >>> Finding("sign", "the sign is wrong").kind
    'sign'
    """

    kind: str
    message: str


@dataclass(frozen=True, eq=False)
class Target:
    """What an answer is compared with.

    Attributes
    ----------
    value : ndarray
        The right numbers.
    slack : ndarray, of the same shape
        How far each number may be off.
    digits : int
        How many digits are asked for.
    quantity : str
        What the numbers are, if the exercise asks for one kind of quantity.
    wanted : str
        What is asked, in words.
    mistakes : tuple of (str, ndarray)
        Typical wrong answers, each with a hint before it.
    simulated : bool
        Whether chance moves the answer, and not the last digit.

    Examples
    --------
    >>> target = Target(np.array([2.0, 3.0]), np.array([0.1, 0.1]), 2, "", "two numbers", (), False)
    >>> target.fits(np.array([2.05, 3.0])), target.right_entries(np.array([2.05, 9.0]))
    (True, array([ True, False]))
    """

    value: FloatArray
    slack: FloatArray
    digits: int
    quantity: Quantity
    wanted: str
    mistakes: tuple[tuple[str, FloatArray], ...]
    simulated: bool

    def right_entries(self, candidate: FloatArray) -> NDArray[np.bool_]:
        """Which of the numbers are right."""
        right: NDArray[np.bool_] = np.abs(candidate - self.value) <= self.slack
        return right

    def fits(self, candidate: FloatArray) -> bool:
        """Whether all numbers are right."""
        return candidate.shape == self.value.shape and bool(self.right_entries(candidate).all())


def slack_of(value: FloatArray, digits: int) -> FloatArray:
    """Half a unit of the last digit that is asked for.

    Parameters
    ----------
    value : ndarray
        The right numbers.
    digits : int
        Significant digits.

    Returns
    -------
    ndarray
        Tolerances. Entries that are next to zero beside the largest one are given some more.

    Examples
    --------
    >>> slack_of(np.array([100.0, 0.0]), digits=4)
    array([0.05  , 0.0005])
    """
    size = np.abs(value)
    first = _place(np.maximum(size, SMALL * size.max()))
    return np.asarray(0.5 * 10.0 ** (first + 1 - digits) * (1 + ROUNDING))


def diagnose(given: object, target: Target) -> Finding:
    """Compare an answer with its target.

    Parameters
    ----------
    given : object
        The answer: hopefully a number, or an array, list or column of numbers.
    target : Target
        What is right.

    Returns
    -------
    Finding
        The first that applies.

    Examples
    --------
    >>> value = np.array([2.0, 3.0])
    >>> slack = slack_of(value, 4)
    >>> sds = Target(value, slack, 4, "standard deviation", "two numbers", (), False)
    >>> diagnose([2, 3], sds).kind
    'right'
    >>> diagnose([4, 9], sds).message
    'a variance, where a standard deviation is asked'
    """
    if given is None or given is ...:
        return Finding("unanswered", f"not answered yet; wanted: {target.wanted}")
    numbers = as_numbers(given)
    if numbers is None:
        found = f"a {type(given).__name__}"
        return Finding("not numbers", f"numbers are wanted, found {found}; give {target.wanted}")
    if target.value.ndim == 0 and numbers.size == 1:
        numbers = numbers.reshape(())
    with np.errstate(all="ignore"):
        for question in _QUESTIONS:
            finding = question(numbers, target)
            if finding is not None:
                return finding
    return Finding("wrong", "not right, and none of the usual slips")


def as_numbers(given: object) -> FloatArray | None:
    """Turn an answer into an array of floats, or into None if it does not hold numbers only.

    Parameters
    ----------
    given : object
        A number, an array, a list, a column or a table of a data frame.

    Returns
    -------
    ndarray or None
        Numbers in the shape in which they were given.

    Examples
    --------
    >>> as_numbers([1, 2])
    array([1., 2.])
    >>> as_numbers("36.01") is None
    True
    """
    try:
        array = np.asarray(given)
        return array.astype(np.float64) if array.dtype.kind in "iufO" else None
    except (TypeError, ValueError):
        return None


# The questions ------------------------------------------------------------------------------------


def _infinite(given: FloatArray, target: Target) -> Finding | None:
    bad = int(np.sum(~np.isfinite(given)))
    if bad == 0:
        return None
    which = "the number is" if given.size == 1 else f"{bad} of {given.size} numbers are"
    return Finding("not finite", f"{which} NaN or infinite")


def _right(given: FloatArray, target: Target) -> Finding | None:
    how = "right, as far as a simulation can tell" if target.simulated else "right"
    return Finding("right", how) if target.fits(given) else None


def _shaped(given: FloatArray, target: Target) -> Finding | None:
    if given.shape == target.value.shape:
        return None
    if turned := _transposed(given, target):
        return turned
    wanted = f"wanted: {target.wanted}; found {_shape(given)}"
    if target.value.ndim > 0 and "shape" not in target.wanted:
        wanted = f"wanted: {target.wanted}, {_shape(target.value)}; found {_shape(given)}"
    if given.size == target.value.size and target.fits(given.reshape(target.value.shape)):
        return Finding("shape", f"the numbers are right, their shape is not; {wanted}")
    return Finding("shape", f"the shape is wrong; {wanted}")


def _typical(given: FloatArray, target: Target) -> Finding | None:
    """Look whether all numbers that are not right are those of one typical wrong answer."""
    right = target.right_entries(given)
    for hint, mistake in target.mistakes:
        slack = target.slack
        if not target.simulated:  # a mistake may be much smaller than the right number
            slack = np.minimum(slack, slack_of(mistake, target.digits))
        if np.all(right | (np.abs(given - mistake) <= slack)):
            return Finding("typical", hint)
    return None


def _undone(given: FloatArray, target: Target) -> Finding | None:
    for slip in _SLIPS:
        if target.simulated and slip.kind != "sign":
            continue  # within what chance allows, much can be taken for a square or a logarithm
        if slip.quantity in ("", target.quantity) and target.fits(slip.undo(given, target.value)):
            return Finding(slip.kind, slip.message)
    return None


def _transposed(given: FloatArray, target: Target) -> Finding | None:
    if given.ndim == 2 and target.fits(given.T):
        return Finding("transposed", "transposed: exchange rows and columns")
    return None


def _permuted(given: FloatArray, target: Target) -> Finding | None:
    sorted_back = np.empty(given.size)
    sorted_back[np.argsort(target.value, axis=None)] = np.sort(given, axis=None)
    if target.fits(sorted_back.reshape(given.shape)):
        return Finding("order", f"the right numbers in another order; wanted: {target.wanted}")
    return None


def _factor(given: FloatArray, target: Target) -> Finding | None:
    """Look for a factor that, divided out, makes all right: of one number, 2 or a power of ten."""
    value = target.value
    if not value.any() or not given.any():
        return None
    factor = float(np.sum(given * value) / np.sum(value**2))
    if factor == 0 or not target.fits(given / factor):
        return None
    sizes, turned = np.copysign(given, value), ", and the sign is wrong" if factor < 0 else ""
    power = round(math.log10(abs(factor)))
    if power != 0 and target.fits(sizes / 10.0**power):
        units = "off by a power of ten: check the units (ms or s, shares or percent)"
        return Finding("factor", units + turned)
    if target.simulated:
        return None
    if target.fits(sizes / 2) or target.fits(sizes * 2):
        return Finding("factor", f"off by a factor of 2{turned}")
    if np.count_nonzero(value) == 1:  # any number is a factor times another
        return None
    return Finding("factor", f"{COMMON_FACTOR}{turned}")


def _rounded(given: FloatArray, target: Target) -> Finding | None:
    """Look whether the right numbers, rounded to fewer digits or decimals, were given."""
    if target.simulated or not given.any():  # 0 is a number rounded only where others stand by it
        return None
    value = target.value
    for digits in range(target.digits - 1, 0, -1):
        if np.allclose(given, _to_digits(value, digits), rtol=ROUNDING, atol=0):
            return _too_coarse(digits, target)
    for decimals in range(target.digits, -target.digits, -1):
        if np.allclose(given, np.round(value, decimals), rtol=ROUNDING, atol=1e-12):
            fewest = int(_place(value[value != 0]).min()) + 1 + decimals
            return _too_coarse(max(0, fewest), target)
    return None


def _close(given: FloatArray, target: Target) -> Finding | None:
    far = 3 * target.slack if target.simulated else NEAR * np.abs(target.value)
    if not np.all(np.abs(given - target.value) <= far):
        return None
    chance = "near, but further off than chance explains"
    return Finding("near", chance if target.simulated else NOT_THE_SAME)


def _partly(given: FloatArray, target: Target) -> Finding | None:
    right = target.right_entries(given)
    count, n = int(right.sum()), given.size
    if not 0 < count < n:
        return None
    first = ", ".join(str(i) for i in np.argwhere(~right)[0])
    message = f"{count} of {n} entries {'is' if count == 1 else 'are'} right"
    message += f"; the first that is not is [{first}]"
    rest = replace(target, value=target.value[~right], slack=target.slack[~right], mistakes=())
    for question in (_rounded, _undone, *([_factor] if n - count > 1 else [])):
        finding = question(given[~right], rest)
        if finding is not None:
            return Finding("some", f"{message}. Of the rest: {finding.message}")
    return Finding("some", message)


_Question: TypeAlias = Callable[[FloatArray, Target], Finding | None]
_FIRST: tuple[_Question, ...] = (_infinite, _right, _shaped, _rounded, _typical, _transposed)
_QUESTIONS = (*_FIRST, _undone, _permuted, _factor, _close, _partly)


# Slips, and how they are undone -------------------------------------------------------------------


class _Slip(NamedTuple):
    """A slip that turns what is asked into what was given, for one kind of quantity or any."""

    kind: str
    quantity: Quantity
    message: str
    undo: Callable[[FloatArray, FloatArray], FloatArray]


def _square(given: FloatArray, value: FloatArray) -> FloatArray:
    return np.copysign(given**2, value)


def _root(given: FloatArray, value: FloatArray) -> FloatArray:
    return np.copysign(np.sqrt(given), value)


def _times(factor: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    return lambda given, value: factor * given


# fmt: off
_SLIPS = (
    _Slip("variance", "standard deviation",
          "a variance, where a standard deviation is asked", _root),
    _Slip("variance", "variance", "a standard deviation, where a variance is asked", _square),
    _Slip("sign", "log-likelihood", "minus the log-likelihood", _times(-1)),
    _Slip("likelihood", "log-likelihood", "the deviance, not the log-likelihood", _times(-0.5)),
    _Slip("sign", "negative log-likelihood",
          "the log-likelihood, where minus the log-likelihood is asked", _times(-1)),
    _Slip("likelihood", "negative log-likelihood",
          "twice what is asked: the deviance, not minus the log-likelihood", _times(0.5)),
    _Slip("likelihood", "deviance", "the log-likelihood, not the deviance", _times(-2)),
    _Slip("likelihood", "deviance", "minus the log-likelihood, not the deviance", _times(2)),
    _Slip("sign", "", "the sign is wrong", _times(-1)),
    _Slip("square", "", "the square of what is asked", _root),
    _Slip("root", "", "the square root of what is asked", _square),
    _Slip("log", "", "the logarithm of what is asked", lambda given, value: np.exp(given)),
    _Slip("log", "", "the logarithm of what is asked, to base 10", lambda given, value: 10**given),
    _Slip("exp", "", "the exponential of what is asked", lambda given, value: np.log(given)),
    _Slip("reciprocal", "", "one divided by what is asked", lambda given, value: 1 / given)
)
# fmt: on


# Small helpers ------------------------------------------------------------------------------------


def _shape(array: FloatArray) -> str:
    return f"shape {array.shape}" if array.ndim else "one number"


def _place(size: FloatArray) -> FloatArray:
    """Power of ten of the first digit; of zero, that of the units."""
    return np.floor(np.log10(np.abs(np.where(size == 0, 1, size))))


def _to_digits(value: FloatArray, digits: int) -> FloatArray:
    """Round to significant digits."""
    rounded = [float(f"{number:.{digits - 1}e}") for number in value.ravel()]
    return np.array(rounded).reshape(value.shape)


def _too_coarse(kept: int, target: Target) -> Finding:
    whole = np.array_equal(target.value, np.round(target.value))
    need = "all digits" if whole else f"at least {target.digits} digits"
    how = f"right to {kept} digit{'s' if kept > 1 else ''}" if kept else "rounded too coarsely"
    return Finding("rounded", f"{how}: give {need}")
