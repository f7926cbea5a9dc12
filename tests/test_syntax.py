"""The reader of formulas: how tightly operators bind, places, names, limits."""

import pytest

from mixedsmooth.model.syntax import DEEPEST, LONGEST, Node, parse, quoted


def right(text: str) -> Node:
    """Return what stands right of y ~."""
    return parse(f"y ~ {text}").args[1]


def shape(node: Node) -> str:
    """Write a tree with all its parentheses."""
    if not node.args or node.kind == "call":
        return str(node)
    operator = node.value if node.kind == "sum" else node.kind
    return f"[{''.join(operator)} {' '.join(shape(arg) for arg in node.args)}]"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        # as R 4.2.2 parses them: quote(...)[[1]] and so on, a sum of many being one node here
        ("a + b - c", "[++- a b c]"),
        ("a + b * c", "[++ a [* b c]]"),
        ("a * b + c", "[++ [* a b] c]"),
        ("a * b:c", "[* a [: b c]]"),
        ("a:b:c", "[: [: a b] c]"),
        ("a / b * c", "[* [/ a b] c]"),
        ("a:b^2", "[: a [^ b 2]]"),
        ("a^b^c", "[^ a [^ b c]]"),
        ("a**2", "[^ a 2]"),
        ("-a^2", "[- [^ a 2]]"),
        ("-a:b", "[: [- a] b]"),
        ("-a * b", "[* [- a] b]"),
        ("-1 + a", "[-+ 1 a]"),
        ("+a", "[+ a]"),
        ("a^-2", "[^ a [- 2]]"),
        ("a - -b", "[+- a [- b]]"),
        ("a + b | g", "[| [++ a b] g]"),
        ("a || b / c", "[|| a [/ b c]]"),
        ("a * (b + c)", "[* a [( [++ b c]]]"),
        ("a %in% b * c", "[* [%in% a b] c]"),
        ("f(a, b + 1, k=2)", "f(a, b + 1, k = 2)"),
        ("f()", "f()"),
    ],
)
def test_operators_bind_as_in_r(text: str, tree: str) -> None:
    assert shape(right(text)) == tree


def test_the_tilde_binds_least() -> None:
    assert shape(parse("a | b ~ c | d")) == "[~ [| a b] [| c d]]"
    assert shape(parse("a ~ b ~ c")) == "[~ [~ a b] c]"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("x", "name", "x"),
        ("Petal.Length", "name", "Petal.Length"),
        (".x_2", "name", ".x_2"),
        ("größe", "name", "größe"),
        ("年", "name", "年"),
        ("`body mass (kg)`", "name", "body mass (kg)"),
        ("`a``b`", "name", "a`b"),
        ("`1`", "name", "1"),
        ("``", "name", ""),
        ("12", "number", 12.0),
        ("1e-3", "number", 0.001),
        ("1.5E+2", "number", 150.0),
        (".5", "number", 0.5),
        ("2.", "number", 2.0),
        ("'cr'", "text", "cr"),
        ('"it\'s"', "text", "it's"),
        ("''", "text", ""),
    ],
)
def test_names_numbers_and_texts(text: str, kind: str, value: object) -> None:
    node = right(text)
    assert (node.kind, node.value, node.source) == (kind, value, text)


def test_every_part_knows_its_place() -> None:
    formula = " y ~ log( x+ 1 ) * (z - 1) + s(`a b`, bs='cr')"
    sources = [node.source for node in parse(formula).walk()]
    assert sources == [
        formula[1:], "y", "log( x+ 1 ) * (z - 1) + s(`a b`, bs='cr')", "log( x+ 1 ) * (z - 1)",
        "log( x+ 1 )", "x+ 1", "x", "1", "(z - 1)", "z - 1", "z", "1", "s(`a b`, bs='cr')",
        "`a b`", "'cr'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "y ~ -x + log(w / 2)^2 - a:b * (c | `d e`)", "y ~ s(x, bs = \"cr\", k = 5) + 1e-07",
        "y ~ f(g(h(x)), a = -1) || b %in% c", "y ~ -(-x)^-2 + 'a\"b' + z - -1.5",
        "y ~ `.` + `a``b`", "y ~ 123456789012345 + 1e+300 + 0.1 + a - b",
    ],
)  # fmt: skip
def test_a_tree_written_is_read_as_the_same(text: str) -> None:
    written = str(parse(text))
    assert shape(parse(written)) == shape(parse(text))
    assert str(parse(written)) == written


@pytest.mark.parametrize(
    "name", ["x", "a b", "1x", "`", "``", "", ".", "x.y", "log(x)", "a:b", "\n", "é", "²", "x\x00"]
)
def test_a_quoted_name_is_read_as_itself(name: str) -> None:
    node = right(quoted(name))
    assert (node.kind, node.value) == ("name", name)
    assert str(node) == quoted(name)


@pytest.mark.parametrize(
    ("nested", "deep"),
    [
        ("({})", True), ("f({})", True), ("-{}", True), ("a^{}", True), ("{}:a", True),
        ("{} * a", True), ("f(k={})", True), ("{} + a", False), ("{} - a", False),
    ],
)  # fmt: skip
def test_depth_is_limited_and_the_length_of_a_sum_is_not(nested: str, deep: bool) -> None:
    text = "x"
    for _ in range(DEEPEST // 2):
        text = nested.format(text)
    assert right(text).depth <= DEEPEST
    for _ in range(3000 // len(nested)):
        text = nested.format(text)
    if not deep:
        assert right(text).depth == 2
    else:
        with pytest.raises(ValueError, match="nested too deep"):
            right(text)


def test_length_is_limited() -> None:
    with pytest.raises(ValueError, match="too long, with 100000 characters") as caught:
        parse("y ~ x" + " " * 99_995)
    assert len(str(caught.value)) < 300
    parse("y ~ x".ljust(LONGEST))


@pytest.mark.parametrize("found", [None, 3, b"y ~ x", ["y ~ x"]])
def test_a_formula_is_text(found: object) -> None:
    with pytest.raises(ValueError, match="formula must be text such as"):
        parse(found)  # type: ignore[arg-type]


def test_control_characters_are_shown() -> None:
    with pytest.raises(ValueError, match=r'formula "y ~ x \\x00", at \\x00 \(character 8\)'):
        parse("y ~ x\n\t\x00")
