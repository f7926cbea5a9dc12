"""Ten thousand strings: each is read, or is a ValueError, without much work.

Work is counted in calls of Python functions, which are the same on every machine; seconds are not.
"""

import random
import string
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

import mixedsmooth as ms
from mixedsmooth.model.formula import read_formula
from mixedsmooth.model.syntax import FormulaError

rng = np.random.default_rng(11)
N = 30
DATA: dict[str, Any] = {
    "y": rng.normal(size=N), "x": rng.normal(size=N), "z": rng.uniform(0, 3, N),
    "w": rng.exponential(size=N) + 0.1, "f": rng.choice(list("abc"), N), "k": np.arange(N) % 4,
    "g": np.arange(N) % 5, "h": np.array(list("pq"))[np.arange(N) % 2], "a b": rng.normal(size=N),
}  # fmt: skip
NAMES = ["x", "z", "w", "f", "k", "g", "h", "`a b`", "nobody", "."]
REAL = [
    "y ~ x + (x | g)", "y ~ x * z + (1 | g) + (0 + x | g)", "log(w) ~ s(x, k=5) + f",
    "y ~ poly(x, 2) * f + (poly(x, 2) | g)", "y ~ (x + z + f)^2 - x:z + (1 | g/h)",
    "y ~ s(x, bs='cr', k=4, by=f) + offset(log(w)) + (x || g)", "y ~ 0 + f + scale(`a b`)",
    "y ~ factor(k, ref=2) + s(log(w), k=4, by=h, shared=True)", "cbind(k, g) ~ I(x^2) + log1p(w)",
]  # fmt: skip
PIECES = [*NAMES, "y", "~", "+", "-", "*", "/", ":", "^", "**", "|", "||", "(", ")", ",", "=",
          "0", "1", "2", "1e-3", "1e999", "'cr'", '"', "`", "%in%", "s(", "t2(", "log(", "poly(",
          "factor(", "I(", "offset(", "cbind(", "k=", "bs=", "by=", "ref=", "TRUE"]  # fmt: skip
CALLS = 10_000  # for one string of the grammar; the most that one of these takes is some 4,500


def expression(draw: random.Random, depth: int) -> str:
    """Draw from the grammar, sensible or not."""
    if depth == 0 or draw.random() < 0.2:
        return draw.choice([*NAMES[:8] * 3, "1", "0", "2.5", "'cr'", "nobody"])
    parts = [expression(draw, depth - 1) for _ in range(2)]
    match draw.randrange(7):
        case 0:
            return f"({parts[0]})"
        case 1:
            name = draw.choice(["log", "exp", "I", "sqrt", "scale", "s", "offset", "foo", "factor"])
            return f"{name}({parts[0]})"
        case 2:
            return f"poly({parts[0]}, {draw.choice(['2', '3, raw=True', '40', parts[1]])})"
        case 3:
            return f"({parts[0]} {draw.choice(['|', '||'])} {draw.choice(NAMES)})"
        case 4:
            return f"({parts[0]})^{draw.choice(['2', '3', '1000000000', parts[1]])}"
        case _:
            return draw.choice(["+", "-", "*", ":", "/", "+", "+"]).join(parts)


def mutated(draw: random.Random, text: str) -> str:
    """Replace, insert, double or cut some pieces of a formula."""
    for _ in range(draw.randint(1, 4)):
        at, to = sorted(draw.randint(0, len(text)) for _ in range(2))
        match draw.randrange(3):
            case 0:
                text = text[:at] + draw.choice(PIECES) + text[at + 1 :]
            case 1:
                text = text[:to] + text[at:]
            case _:
                text = text[:at] + text[to:]
    return text


def strings(seed: int) -> Iterator[str]:
    draw = random.Random(seed)
    characters = string.printable + "\x00\x07\u200b\u202eßλ年²٣\ud800\U0001f600`\"'()|~"
    for _ in range(500):
        yield f"y ~ {expression(draw, draw.randint(1, 5))}"
        yield mutated(draw, draw.choice(REAL))
        yield "".join(draw.choice(PIECES) for _ in range(draw.randint(0, 30)))
        yield "".join(draw.choice(characters) for _ in range(draw.randint(0, 60)))


def outcome(text: str, most: int = CALLS) -> str:
    """Read a formula in at most so many calls, and tell what came of it."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"
        if calls > most:
            sys.setprofile(None)
            raise AssertionError(f"more than {most} calls to read {text[:100]}")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read_formula(text, DATA)
    except FormulaError:
        return "told where"
    except ValueError:
        return "told"
    finally:
        sys.setprofile(before)
    return "read"


@pytest.mark.parametrize("seed", range(5))
def test_any_string_is_read_or_refused_with_little_work(seed: int) -> None:
    outcomes = [outcome(text) for text in strings(seed)]
    assert len(outcomes) == 2000
    # some of both, or nothing is tried
    assert outcomes.count("read") > 100
    assert outcomes.count("told where") > 1000


EXTREMES = {
    "long": "y ~ " + "x" * 100_000,
    "a long sum": "y ~ " + " + ".join(["x"] * 25_000),
    "many terms": "y ~ " + " + ".join(f"x{j}" for j in range(2_500)),
    "many products": "y ~ " + "*".join(NAMES[:8] * 3),
    "all products": "y ~ " + "*".join(f"x{j}" for j in range(26)),
    "spaces": "y ~ x" + " " * 100_000,
    "parentheses": "y ~ " + "(" * 10_000 + "x" + ")" * 10_000,
    "open parentheses": "(" * 9_999,
    "calls": "y ~ " + "log(" * 2_000,
    "signs": "y ~ " + "-" * 9_000 + "x",
    "powers": "y ~ " + "x^" * 4_900 + "2",
    "a huge power": "y ~ (x + z)^1000000000",
    "a huge power of many": "y ~ (x + z + w + f + g + h + k)^1000000000",
    "a huge power of products": "y ~ (" + "*".join(NAMES[:8]) + ")^1000000000",
    "a power of a power": "y ~ " + "(" * 20 + "x + z + w" + ")^9" * 20,
    "a huge number": "y ~ I(x^" + "9" * 400 + ")",
    "an overflow": "y ~ I(10^10^10 * x)",
    "a huge degree": "y ~ poly(x, 1000000000)",
    "bars": "y ~ " + "(1 | " * 50 + "g" + ")" * 50,
    "products of products": "y ~ " + "*".join(["(x*z*w*f*k)"] * 50),
    "sums of products": "y ~ " + "+".join(["(x*z*w*f*k)*(x*z*w*f*k)"] * 400),
    "interactions of labels": "y ~ f:k:g:h:factor(x):factor(z):factor(w)",
    "a long name": "y ~ `" + "a" * 9_900 + "`",
    "a long text": "y ~ s(x, bs='" + "a" * 9_900 + "')",
}


@pytest.mark.parametrize("text", EXTREMES.values(), ids=EXTREMES)
def test_extremes_neither_crash_nor_hang(text: str) -> None:
    outcome(text, most=1_000_000)  # 10,000 characters may be 400 sums of 961 products


def test_work_is_counted() -> None:
    with pytest.raises(AssertionError, match="more than 10 calls"):
        outcome("y ~ x", most=10)


def test_terms_are_counted() -> None:
    product = "*".join([*NAMES[:8], "I(x + 1)", "I(x + 2)"])  # 1,023 terms
    with pytest.raises(ValueError, match="too many terms"):
        read_formula(f"y ~ {product}", DATA)


def test_what_is_read_is_fitted_or_told() -> None:
    draw, fitted = random.Random(5), 0
    for _ in range(60):
        text = f"y ~ {expression(draw, 2)} + (1 | g)"
        try:
            fit = ms.lmm_formula(text, DATA)
            assert fit.formula == text
            assert np.isfinite(fit.fitted).all()
            fitted += 1
        except ValueError:
            continue
    assert fitted > 10
