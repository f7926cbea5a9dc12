"""The text of a formula as a tree, in which every node knows its place.

    text -> tokens -> tree

A Pratt parser: an operator takes what follows as long as that binds more tightly. The operators
bind as in R. Nothing is evaluated here or later; a tree is names, numbers, strings and calls.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

TOKEN = re.compile(
    r"""(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    |(?P<name>(?:[^\W\d]|\.(?![0-9]))[\w.]*)
    |`(?P<quoted>(?:[^`]|``)*)`
    |(?P<text>"[^"]*"|'[^']*')
    |(?P<symbol>%[^%\s]*%|\*\*|\|\||&&|[=!<>]=|.)""",
    re.VERBOSE,
)
# How tightly an operator binds, as in R; the sign of -x stands between : and ^
BINDING = {"~": 1, "|": 2, "||": 2, "+": 3, "-": 3, "*": 4, "/": 4, "%in%": 5, ":": 6, "^": 8}
SIGN = 7
MEANT = (*BINDING, "**", "(", ")", ",", "=")
DEEPEST = 60  # levels of a tree, and so of everything that walks through it
LONGEST = 10_000  # characters
MISPLACED = (
    "this does not belong here; between terms stands one of + - * / : ^ |, and a name with other "
    "characters stands in `backticks`"
)
COMPARISON = "a comparison is no term; put its values in a column"
INSTEAD = dict.fromkeys(["<", ">", "<=", ">=", "==", "!="], COMPARISON)
INSTEAD["="] = "between the response and the terms stands ~: y ~ x + (x | g)"


class FormulaError(ValueError):
    """What is wrong with a formula, and where."""


@dataclass(frozen=True)
class Node:
    """A part of a formula.

    Attributes
    ----------
    kind : str
        ``"name"``, ``"number"``, ``"text"``, ``"call"``, ``"sum"``, ``"("``, or an operator.
    value : Any
        The name, the number, the text, the function, or the signs of a sum.
    args : tuple of Node
        What is called, added, or stands beside the operator.
    options : tuple of (str, Node)
        Keyword arguments of a call.
    formula : str
        The whole text.
    start, end : int
        The place of this part in it.
    depth : int
        Levels below this one.

    Examples
    --------
    >>> tree = parse("y ~ log( x+1 )")
    >>> call = tree.args[1]
    >>> call.kind, call.value, call.source, str(call)
    ('call', 'log', 'log( x+1 )', 'log(x + 1)')
    """

    kind: str
    value: Any
    args: tuple["Node", ...]
    options: tuple[tuple[str, "Node"], ...]
    formula: str
    start: int
    end: int
    depth: int

    @property
    def source(self) -> str:
        """The text of this part."""
        return self.formula[self.start : self.end]

    def __str__(self) -> str:
        """Write it as R does, whatever spaces the text has."""
        given = [str(arg) for arg in self.args]
        match self.kind:
            case "name":
                return quoted(self.value)
            case "number":
                whole = self.value.is_integer() and self.value < 1e15
                return f"{self.value:.0f}" if whole else repr(self.value)
            case "text":
                return f"'{self.value}'" if '"' in self.value else f'"{self.value}"'
            case "call":
                options = [f"{name} = {option}" for name, option in self.options]
                return f"{self.value}({', '.join(given + options)})"
            case "sum":
                signed = "".join(f" {s} {arg}" for s, arg in zip(self.value, given, strict=True))
                return signed.removeprefix(" + ") if signed[1] == "+" else f"-{signed[3:]}"
            case "(":
                return f"({given[0]})"
            case ":" | "^" | "/":
                return self.kind.join(given)
            case _:
                return f" {self.kind} ".join(given)

    def walk(self) -> Iterator["Node"]:
        """Yield this part and all below it, from left to right."""
        yield self
        for arg in (*self.args, *(option for _, option in self.options)):
            yield from arg.walk()


def quoted(name: str) -> str:
    """Write the name of a column, in backticks unless it is a plain one.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        Its text in a formula.

    Examples
    --------
    >>> quoted("days"), quoted("body mass")
    ('days', '`body mass`')
    """
    plain = TOKEN.fullmatch(name)
    if plain and plain.lastgroup == "name" and name != ".":
        return name
    return "`" + name.replace("`", "``") + "`"


def refuse(node: Node, message: str) -> NoReturn:
    """Raise an error that names a part of a formula and its place.

    Parameters
    ----------
    node : Node
        The part.
    message : str
        What is wrong with it, and what to do.

    Raises
    ------
    FormulaError
        Always.

    Examples
    --------
    >>> refuse(parse("y ~ x").args[1], "x is not wanted")
    Traceback (most recent call last):
    mixedsmooth.model.syntax.FormulaError: formula "y ~ x", at x (character 5): x is not wanted
    """
    _stop(node.formula, node.start, node.end, message)


@contextmanager
def placed(node: Node) -> Iterator[None]:
    """Tell the place in the formula of what is wrong with the data of a part.

    Parameters
    ----------
    node : Node
        The part.

    Yields
    ------
    None
        While the part is worked on.

    Raises
    ------
    FormulaError
        For any ValueError that does not tell its place yet.

    Examples
    --------
    >>> with placed(parse("y ~ x").args[1]):
    ...     raise ValueError("x is constant")
    Traceback (most recent call last):
    mixedsmooth.model.syntax.FormulaError: formula "y ~ x", at x (character 5): x is constant
    """
    try:
        yield
    except FormulaError:
        raise
    except ValueError as error:
        refuse(node, str(error))


def _stop(formula: str, start: int, end: int, message: str) -> NoReturn:
    part = _short(formula[start:end], 40) or "the end"
    text = _short(formula, 80)
    raise FormulaError(f'formula "{text}", at {part} (character {start + 1}): {message}') from None


def _short(text: str, longest: int) -> str:
    """Text on one line, cut if it is long."""
    line = re.sub(r"\s+", " ", text[: 2 * longest])
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


# ---- from text to tree ----


@dataclass(frozen=True)
class _Token:
    kind: str
    value: str
    start: int
    end: int


END = "end"


def parse(formula: str) -> Node:
    """Read a formula.

    Parameters
    ----------
    formula : str
        Its text.

    Returns
    -------
    Node
        The tree.

    Raises
    ------
    ValueError
        If the text is not a formula, is too long, or goes too deep.

    References
    ----------
    Pratt (1973), Top down operator precedence, Proceedings of the first ACM symposium on
    principles of programming languages, 41-51.

    Examples
    --------
    >>> tree = parse("y ~ x + a:b")
    >>> tree.kind, [str(arg) for arg in tree.args], [arg.start for arg in tree.args]
    ('~', ['y', 'x + a:b'], [0, 4])
    """
    if not isinstance(formula, str):
        raise ValueError(f'formula must be text such as "y ~ x + (1 | g)", found {formula!r:.80}')
    if len(formula) > LONGEST:
        _stop(formula, 0, 40, f"the formula is too long, with {len(formula)} characters")
    reader = _Reader(formula)
    tree = reader.expression(0, 0)
    if reader.token.kind != END:
        reader.stop(INSTEAD.get(reader.symbol(), MISPLACED))
    return tree


class _Reader:
    """Tokens of a text, one after the other."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = _tokens(formula)
        self.last = self.token = _Token(END, "", 0, 0)
        self.advance()

    def advance(self) -> _Token:
        """Return the token, and go on to the next."""
        self.last, self.token = self.token, next(self.tokens)
        return self.last

    def take(self, symbol: str) -> bool:
        """Go on if the token is this symbol."""
        here = self.token.kind == "symbol" and self.token.value == symbol
        if here:
            self.advance()
        return here

    def stop(self, message: str) -> NoReturn:
        _stop(self.formula, self.token.start, self.token.end, message)

    def node(
        self, start: int, kind: str, value: Any, *args: Node, options: Any = (), end: int = 0
    ) -> Node:
        """Make a node that ends where the last token ends."""
        below = [*args, *(option for _, option in options)]
        depth = 1 + max((arg.depth for arg in below), default=0)
        node = Node(
            kind, value, args, tuple(options), self.formula, start, end or self.last.end, depth
        )
        if depth > DEEPEST:
            refuse(node, "this is nested too deep")
        return node

    def expression(self, binding: int, level: int) -> Node:
        """Read an operand, and all operators after it that bind more tightly."""
        if level > DEEPEST:
            self.stop("this is nested too deep")
        start = self.token.start
        left = self.signed(level) if self.symbol() in ("+", "-") else self.operand(level)
        while (found := BINDING.get(self.symbol(), 0)) > binding:
            if found == BINDING["+"]:
                left = self.sum(start, ["+"], [left], level)
                continue
            symbol = self.symbol()
            self.advance()
            # a^b^c is a^(b^c); of the others the left pair comes first
            right = self.expression(found - (symbol == "^"), level + 1)
            left = self.node(start, symbol, None, left, right)
        return left

    def symbol(self) -> str:
        """Return the operator here, or nothing."""
        value = self.token.value if self.token.kind == "symbol" else ""
        return "^" if value == "**" else value

    def signed(self, level: int) -> Node:
        """Read -x, a sum of one."""
        start, sign = self.token.start, self.advance().value
        return self.node(start, "sum", (sign,), self.expression(SIGN, level + 1))

    def sum(self, start: int, signs: list[str], args: list[Node], level: int) -> Node:
        """Read the rest of a sum; however many it adds, it is one node."""
        while self.symbol() in ("+", "-"):
            signs.append(self.advance().value)
            args.append(self.expression(BINDING["+"], level + 1))
        if args[0].kind == "sum" and signs[0] == "+":  # -x + z
            signs[:1], args[:1] = args[0].value, args[0].args
        return self.node(start, "sum", tuple(signs), *args)

    def operand(self, level: int) -> Node:
        token = self.token
        if self.take("("):
            inner = self.expression(0, level + 1)
            self.close(token)
            return self.node(token.start, "(", None, inner)
        if token.kind in ("end", "symbol"):
            after = f"after {self.last.value} " if self.last.end else ""
            if token.kind == "symbol" and token.value not in MEANT:
                self.stop(
                    f"something is missing {after}here, as {token.value} has no meaning in a "
                    "formula; a name with other characters stands in `backticks`"
                )
            self.stop(f"something is missing {after}here; a formula is y ~ x + (x | g)")
        self.advance()
        match token.kind:
            case "number":
                return self.node(token.start, "number", self.finite(token))
            case "text":
                return self.node(token.start, "text", token.value[1:-1])
            case "quoted":
                return self.node(token.start, "name", token.value.replace("``", "`"))
        if self.token.kind == "symbol" and self.token.value == "(":
            return self.call(token, level)
        return self.node(token.start, "name", token.value)

    def finite(self, token: _Token) -> float:
        number = float(token.value)
        if number == float("inf"):
            _stop(self.formula, token.start, token.end, "this number is too large")
        return number

    def call(self, name: _Token, level: int) -> Node:
        """Read the arguments of a call, and its keywords."""
        opening = self.advance()
        args: list[Node] = []
        options: dict[str, Node] = {}
        while not (self.symbol() == ")" and not args and not options):
            found = self.expression(0, level + 1)
            if self.take("="):
                if found.kind != "name":
                    refuse(found, "left of = stands the name of an option, such as k=10")
                if found.value in options:
                    refuse(found, f"{found.value} is given twice")
                options[found.value] = self.expression(0, level + 1)
            elif options:
                refuse(found, f"this stands after {next(iter(options))}=; columns come first")
            else:
                args.append(found)
            if not self.take(","):
                break
        self.close(opening)
        return self.node(name.start, "call", name.value, *args, options=options.items())

    def close(self, opening: _Token) -> None:
        if self.token.kind == END:
            _stop(self.formula, opening.start, opening.end, "this parenthesis is never closed")
        if not self.take(")"):
            self.stop(INSTEAD.get(self.symbol(), MISPLACED))


def _tokens(formula: str) -> Iterator[_Token]:
    """Yield the tokens, then the end, again and again."""
    place = 0
    while place < len(formula):
        if formula[place].isspace():
            place += 1
            continue
        found = TOKEN.match(formula, place)
        assert found is not None  # as any character is a symbol
        kind = str(found.lastgroup)
        value = found[kind]
        if kind == "symbol" and value in "`\"'":
            what = formula[place]
            _stop(formula, place, place + 1, f"there is no second {what} to close the name or text")
        yield _Token(kind, value, found.start(), found.end())
        place = found.end()
    while True:
        yield _Token(END, "", len(formula), len(formula))
