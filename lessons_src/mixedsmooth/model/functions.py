"""Functions of columns in a formula: what may be called, and what it learns from the data.

    a node of the tree, data -> the columns it stands for, and how they are made from new data

What is made is a `Maker`, a function of the data. What a function learns (the recurrence of
`poly`, mean and standard deviation of `scale`) is in its maker, so predictions use it again.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import LabelColumn, as_vector, column_of, levels_and_codes
from mixedsmooth.model.parts import Data, Maker
from mixedsmooth.model.syntax import Node, placed, refuse
from mixedsmooth.model.terms import labels

FloatArray = NDArray[np.float64]

OF_NUMBERS: Mapping[str, Callable[..., Any]] = {
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "I": np.positive,  # whose arguments are arithmetic, like all
}
ARITHMETIC = {"*": np.multiply, "/": np.divide, "^": np.power}
OF_COLUMNS = (*OF_NUMBERS, "scale", "poly", "factor")
OF_TERMS = ("s", "t2", "offset", "cbind")
HIGHEST = 20  # degree of a polynomial
NOT_MEANT = ("lag",)  # which is close to log
INSTEAD = {  # what other programs call it
    "ln": "log(x)",
    "C": 'factor(x) or factor(x, ref="low")',
    "as.factor": "factor(x)",
    "relevel": 'factor(x, ref="low")',
    "interaction": "a:b",
    "Q": "`a name in backticks`",
    "center": "scale(x)",
    "standardize": "scale(x)",
    "np.power": "I(x^2)",
    "pow": "I(x^2)",
    "te": "t2(x, z)",
    "ti": "t2(x, z), which has s(x) and s(z) in it",
    "bs": "s(x)",
    "ns": "s(x)",
    "cr": "s(x)",
    "cc": 's(x, bs="cc")',
    "tp": 's(x, z, bs="tp")',
    "gp": 's(x, z, bs="gp")',
    "smooth": "s(x)",
    "linear": "x",
    "group": "(1 | g)",
    "re": "(1 | g)",
    "lo": "s(x)",
    "loess": "s(x)",
    "us": "(x | g)",
    "diag": "(x || g)",
}
USAGE = {"log": "log(x), log2(x) or log10(x)", "poly": "poly(x, 2) or poly(x, 2, raw=True)"}
USAGE |= {"factor": 'factor(x) or factor(x, ref="low")', "cbind": "cbind(successes, failures)"}


class Column(NamedTuple):
    """A column of a formula: its values, and what makes them from new data, unless it is there."""

    values: ArrayLike
    maker: Maker | None = None


def known(node: Node) -> None:
    """Raise unless the function that a node calls may be called.

    Parameters
    ----------
    node : Node
        The call.

    Raises
    ------
    ValueError
        That names what to write instead, where there is something.

    Examples
    --------
    >>> from mixedsmooth.model.syntax import parse
    >>> known(parse("y ~ lg(x)").args[1])
    Traceback (most recent call last):
    mixedsmooth.model.syntax.FormulaError: ...: the function lg is not known; did you mean log? ...
    """
    name = node.value
    if name in OF_COLUMNS or name in OF_TERMS:
        return
    short = name.rpartition(".")[2]  # of np.log
    close = get_close_matches(short.lower(), [*OF_COLUMNS, "s", "t2", "offset"], 1)
    close = [] if name in NOT_MEANT else close
    hint = f"did you mean {close[0]}? Else " if close else ""
    if name in INSTEAD:
        refuse(node, f"the function {name} is not known; write {INSTEAD[name]}")
    refuse(
        node,
        f"the function {name} is not known; {hint}put its values in a column, or use one of "
        f"{', '.join(OF_COLUMNS)}",
    )


def columns_of(node: Node, data: Data) -> dict[str, Column]:
    """Return the columns that a covariate of a formula stands for, by name.

    Parameters
    ----------
    node : Node
        A name, a call, or arithmetic.
    data : mapping of str to array_like
        The data.

    Returns
    -------
    dict of str to Column
        One column, or those of a polynomial.

    Raises
    ------
    ValueError
        If a function is not known, its arguments do not fit, or a value is outside its domain.

    Examples
    --------
    >>> from mixedsmooth.model.syntax import parse
    >>> ((name, column),) = columns_of(parse("y ~ log2(x)").args[1], {"x": [1, 2, 4]}).items()
    >>> name, column.values, column.maker({"x": [8]})
    ('log2(x)', array([0., 1., 2.]), array([3.]))
    """
    name = str(node)
    if node.kind == "name":
        return {node.value: Column(column_of(data, node.value))}
    if node.kind == "call" and node.value == "poly":
        makers = _polynomials(node, data)
        return {f"{name}{j}": Column(m(data), m) for j, m in enumerate(makers, 1)}
    if node.kind == "call" and node.value == "factor":
        return {name: _factor(node, data)}
    maker = _maker(node, data)
    if not any(each.kind == "name" for each in node.walk()):
        refuse(node, "no column stands here")
    with placed(node):
        return {name: Column(as_vector(name, maker(data)), maker)}


def _maker(node: Node, data: Data) -> Maker:
    """Return what computes a node from data; what it must learn, it learns from these."""
    makers = []
    if node.kind in ("sum", "(", *ARITHMETIC) or (node.kind == "call" and node.value in OF_NUMBERS):
        makers = [_maker(arg, data) for arg in node.args]
    match node.kind:
        case "name":
            return partial(_named, node)
        case "number":
            return partial(_constant, node.value)
        case "(":
            return makers[0]
        case "sum":
            return partial(_applied, node, partial(_signed_sum, node.value), makers)
        case "*" | "/" | "^":
            return partial(_applied, node, ARITHMETIC[node.kind], makers)
        case "call" if node.value in OF_NUMBERS:
            arguments(node, 1)
            return partial(_applied, node, OF_NUMBERS[node.value], makers)
        case "call" if node.value == "scale":
            return _scale(node, data)
        case "call":
            known(node)
            refuse(node, f"{node.value}() stands alone, not within a function")
    refuse(node, "a function takes columns, numbers, calls and + - * / ^ of these")


def arguments(node: Node, count: int, *options: str) -> dict[str, Node]:
    """Return the keyword arguments of a call, after a look at how many others it has.

    Parameters
    ----------
    node : Node
        The call.
    count : int
        Number of arguments without a keyword.
    *options : str
        The keywords.

    Returns
    -------
    dict of str to Node
        The keywords that are there.

    Raises
    ------
    ValueError
        If there are more arguments or fewer, or others.

    Examples
    --------
    >>> from mixedsmooth.model.syntax import parse
    >>> arguments(parse("y ~ poly(x, 2, raw=True)").args[1], 2, "raw")["raw"].source
    'True'
    """
    usage = USAGE.get(node.value, f"{node.value}(x)")
    for name, option in node.options:
        if name not in options:
            refuse(option, f"{node.value}() has no option {name} here; write {usage}")
    if len(node.args) != count:
        columns = "one column" if count == 1 else f"{count} arguments"
        refuse(node, f"{node.value}() takes {columns}, found {len(node.args)}; write {usage}")
    return dict(node.options)


def literal(node: Node) -> Any:
    """Return what is written as a number, a text, True or False.

    Parameters
    ----------
    node : Node
        Value of an option.

    Returns
    -------
    int, float, str, bool or tuple
        The value; of ``c(5, 10)`` a tuple.

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> from mixedsmooth.model.syntax import parse
    >>> [literal(option) for _, option in parse("y ~ f(k=10, bs='cr', fx=TRUE)").args[1].options]
    [10, 'cr', True]
    """
    match node.kind:
        case "number":
            return int(node.value) if node.value.is_integer() else node.value
        case "sum" if node.value == ("-",) and node.args[0].kind == "number":
            return -literal(node.args[0])
        case "text":
            return node.value
        case "name" if node.value in ("True", "TRUE", "T"):
            return True
        case "name" if node.value in ("False", "FALSE", "F"):
            return False
        case "call" if node.value == "c":
            return tuple(literal(arg) for arg in node.args)
    refuse(node, 'here stands a number, a text in quotes such as "cr", True or False')


# ---- makers: each takes what it knows, then the data ----


def _named(node: Node, data: Data) -> FloatArray:
    with placed(node):
        return as_vector(node.value, column_of(data, node.value))


def _constant(value: float, data: Data) -> float:
    return value


def _signed_sum(signs: tuple[str, ...], *values: Any) -> Any:
    return reduce(np.add, (v if s == "+" else -v for s, v in zip(signs, values, strict=True)))


def _applied(node: Node, function: Callable[..., Any], makers: list[Maker], data: Data) -> Any:
    """Apply a function to each row; where it has no value, say which row and of what."""
    values = [np.asarray(maker(data)) for maker in makers]
    with np.errstate(all="ignore"):
        result = np.asarray(function(*values))
    if not np.isfinite(result).all():
        row = int(np.argmin(np.isfinite(np.atleast_1d(result))))
        of = [f"{value[row] if value.ndim else value:g}" for value in values]
        refuse(
            node,
            f"in row {row}, of {' and '.join(of)}, this is no finite number; correct such rows, or "
            "leave them out",
        )
    return result


def _scale(node: Node, data: Data) -> Maker:
    arguments(node, 1)
    x_of = _maker(node.args[0], data)
    x = np.atleast_1d(x_of(data))
    mean, sd = float(x.mean()), float(x.std(ddof=1)) if len(x) > 1 else 0.0
    if sd <= 1e-14 * abs(mean):
        refuse(node, "the column is constant; leave it out")
    return partial(_applied, node, partial(_standardized, mean, sd), [x_of])


def _standardized(mean: float, sd: float, x: FloatArray) -> FloatArray:
    return (x - mean) / sd


def _polynomials(node: Node, data: Data) -> list[Maker]:
    """Return what makes the columns of poly(x, degree): orthogonal over the data, or powers."""
    options = arguments(node, 2, "raw")
    degree = literal(node.args[1])
    x_of = _maker(node.args[0], data)
    x = np.atleast_1d(x_of(data))
    most = min(len(np.unique(x)) - 1, HIGHEST)
    if type(degree) is not int or not 1 <= degree <= most:
        refuse(node.args[1], f"the degree must be a whole number from 1 to {most}, found {degree}")
    degrees = range(1, degree + 1)
    if "raw" in options and literal(options["raw"]) is True:
        return [partial(_applied, node, np.power, [x_of, partial(_constant, j)]) for j in degrees]
    # p_{j+1}(x) = (x - alpha_j) p_j(x) - |p_j|^2 / |p_{j-1}|^2 p_{j-1}(x),  p_0 = 1
    alpha: list[float] = []
    squares = [1.0]
    with np.errstate(all="ignore"):  # what overflows is told when the columns are made
        for _ in range(degree + 1):
            p = _recurrence(alpha, squares, x)
            squares.append(float(p @ p))
            alpha.append(float(x @ (p * p)) / squares[-1])
    return [
        partial(_applied, node, partial(_polynomial, alpha[:j], squares[: j + 2]), [x_of])
        for j in degrees
    ]


def _recurrence(alpha: list[float], squares: list[float], x: FloatArray) -> FloatArray:
    """p_j(x), j = len(alpha)."""
    before, p = np.zeros_like(x), np.ones_like(x)
    for j, center in enumerate(alpha):
        before, p = p, (x - center) * p - squares[j + 1] / squares[j] * before
    return p


def _polynomial(alpha: list[float], squares: list[float], x: FloatArray) -> FloatArray:
    scale = float(np.sqrt(squares[-1]))
    return _recurrence(alpha, squares, x) / scale


def _factor(node: Node, data: Data) -> Column:
    """Numbers or labels as labels, the reference level first."""
    options = arguments(node, 1, "ref")
    (column,) = node.args
    if column.kind != "name":
        refuse(column, "factor() takes the name of a column")
    with placed(node):
        levels, codes = levels_and_codes(column.value, column_of(data, column.value))
    if levels.dtype.kind == "f" and np.all(levels == np.round(levels)):
        levels = levels.astype(np.int64)  # 2.0 is the label 2
    maker = partial(column_of, name=column.value)
    if "ref" not in options:
        return Column(LabelColumn(codes, levels), maker)
    ref = literal(options["ref"])
    if ref not in levels.tolist():
        write = repr if str(ref) in map(str, levels) else str  # the text '2' is no number
        some = ", ".join(map(write, levels[:10].tolist()))
        refuse(options["ref"], f"{column.value} has no level {write(ref)}; it has {some}")
    return Column(labels(LabelColumn(codes, levels), first=ref), maker)
