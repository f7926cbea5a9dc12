"""The text of a chapter as plain Markdown, for notebooks.

Jupyter shows CommonMark with tables and ``$math$``, and nothing else. What Sphinx has resolved
(numbers, references, citations, values) is written out; a construct that this module does not know
stops the build, so that nothing gets lost without a word.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from posixpath import basename
from urllib.parse import quote

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.errors import ExtensionError

INVISIBLE = (nodes.comment, nodes.meta, nodes.target, nodes.system_message)
ADMONITIONS = (nodes.caution, nodes.hint, nodes.important, nodes.note, nodes.tip, nodes.warning)


@dataclass(frozen=True)
class Markdown:
    """Writes the nodes of one page as Markdown.

    Attributes
    ----------
    macros : dict of str to str
        The book's own TeX commands; a notebook has none, so they are expanded.
    equation_numbers : dict of str to str
        Number, such as ``"4.1"``, of each equation by its id.
    headings : dict of str to str
        Text of the notebook's heading by the id of its section.
    page_url : callable
        Address in the online book of a page and place, ``"03_likelihood.html#eq"``; ``""`` if the
        book has no address.
    chapter_of : dict of (str, str) to str
        Number of a chapter by its page and title. A reference that shows the title becomes
        "chapter 3" where there is no page to lead to.
    """

    macros: dict[str, str] = field(default_factory=dict)
    equation_numbers: dict[str, str] = field(default_factory=dict)
    headings: dict[str, str] = field(default_factory=dict)
    page_url: Callable[[str], str] = lambda _: ""
    chapter_of: dict[tuple[str, str], str] = field(default_factory=dict)

    # ---- blocks ----

    def blocks(self, parts: Iterable[nodes.Node], nested: bool = False) -> str:
        """Write blocks, with a blank line between any two."""
        written = [self.block(part, nested) for part in parts if not isinstance(part, INVISIBLE)]
        return "\n\n".join(block for block in written if block)

    def block(self, node: nodes.Node, nested: bool = False) -> str:
        """Write one block; a nested one must bear a prefix before each of its lines."""
        match node:
            case nodes.paragraph():
                return protect_start(self.inline(node))
            case nodes.math_block():
                return self.display(node, one_line=nested)
            case nodes.literal_block():
                language = node.get("language", "")
                return fenced(node.astext(), "python" if "python" in language else "text")
            case nodes.bullet_list():
                return self.items(node, ["- "] * len(node))
            case nodes.enumerated_list():
                first = node.get("start", 1)
                return self.items(node, [f"{first + i}. " for i in range(len(node))])
            case nodes.block_quote():
                return prefixed(self.blocks(node.children, nested=True), "> ")
            case nodes.admonition():
                return self.box(self.inline(node.children[0]), node.children[1:])
            case _ if isinstance(node, ADMONITIONS):
                return self.box(type(node).__name__.capitalize(), node.children)
            case nodes.table():
                return self.table(node)
            case nodes.definition_list():
                return "\n\n".join(self.definition(item) for item in node.children)
            case nodes.container() if "libcode" in node["classes"]:
                return self.library_code(node)
            case _:
                raise unknown(node)

    def box(self, title: str, content: Iterable[nodes.Node]) -> str:
        """Write a box as a quotation with a title."""
        return prefixed(f"**{title}.**\n\n{self.blocks(content, nested=True)}", "> ")

    def items(self, node: nodes.Node, marks: list[str]) -> str:
        """Write a list; loose if an item has more than one block."""
        texts = [
            mark + prefixed(self.blocks(item.children, nested=True), " " * len(mark)).lstrip()
            for mark, item in zip(marks, node.children, strict=True)
        ]
        loose = any(len(item.children) > 1 for item in node.children)
        return ("\n\n" if loose else "\n").join(texts)

    def definition(self, item: nodes.Node) -> str:
        """Write a term and its explanation."""
        *terms, meaning = item.children
        head = ", ".join(self.inline(term) for term in terms)
        return f"**{head}**\n\n{self.blocks(meaning.children)}"

    def library_code(self, node: nodes.Node) -> str:
        """Write a box of the directive ``libcode``: the name of the function, then its source."""
        caption, block = node.children
        name = caption.children[0].astext()
        url = self.url(next(caption.findall(nodes.reference), None))
        shown = f"[`{name}`]({url})" if url else f"`{name}`"
        return f"From the library, {shown}:\n\n{fenced(block.astext(), 'python')}"

    def table(self, node: nodes.Node) -> str:
        """Write a table with a head."""
        head, body = next(node.findall(nodes.thead)), next(node.findall(nodes.tbody))
        rows = [
            [self.cell(entry) for entry in row.children] for row in [*head.children, *body.children]
        ]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]))
        return "\n".join(lines)

    def cell(self, entry: nodes.Node) -> str:
        """Write the one paragraph of a table's cell; a bar in it would end the cell."""
        entry = entry.deepcopy()
        for formula in entry.findall(nodes.math):
            bars = formula.astext().replace(r"\|", r"\Vert ").replace("|", r"\vert ")
            formula.children = [nodes.Text(bars)]
        return " ".join(self.inline(paragraph) for paragraph in entry.children).replace("|", r"\|")

    def display(self, node: nodes.Node, one_line: bool = False) -> str:
        """Write a displayed formula, with the number that the page gives it."""
        formula = self.expand(node.astext().strip())
        if r"\\" in formula and not node.get("nowrap"):  # as Sphinx does
            formula = f"\\begin{{split}}\n{formula}\n\\end{{split}}"
        number = next((n for i in node["ids"] if (n := self.equation_numbers.get(i))), "")
        if number:
            formula += f"\n\\tag{{{number}}}"
        if one_line:  # a prefix within the dollars would be read as mathematics
            return f"$${' '.join(formula.split())}$$"
        lines = [line.rstrip() for line in formula.splitlines() if line.strip()]
        return "\n".join(["$$", *lines, "$$"])

    # ---- within a line ----

    def inline(self, node: nodes.Node) -> str:
        """Write what stands within a paragraph, on one line."""
        return "".join(self.span(child) for child in node.children)

    def span(self, node: nodes.Node) -> str:
        """Write a piece of a line."""
        match node:
            case nodes.Text():
                return escaped(node.astext().replace("\n", " "))
            case nodes.math():
                return f"${self.expand(' '.join(node.astext().split()))}$"
            case nodes.emphasis():
                return f"*{self.inline(node)}*"
            case nodes.strong():
                return f"**{self.inline(node)}**"
            case nodes.literal():
                return code_span(node.astext())
            case nodes.reference():
                return self.reference(node)
            case nodes.inline():
                return self.inline(node)
            case nodes.target():
                return ""
            case _:
                raise unknown(node)

    def reference(self, node: nodes.Node) -> str:
        """Write a link; without an address to lead to, its text."""
        text = self.inline(node)
        url = self.url(node)
        if url:
            return f"[{text}]({url})"
        target = node.get("refuri", "").partition("#")[0]
        chapter = self.chapter_of.get((target, node.astext()))
        if chapter is None:
            return text
        before = "".join(part.astext() for part in node.parent.children[: node.parent.index(node)])
        begins_sentence = re.search(r"(^|[.?!])\s*$", before)
        return f"{'Chapter' if begins_sentence else 'chapter'} {chapter}"

    def url(self, node: nodes.Node | None) -> str:
        """Find where a link of the page leads to from a notebook."""
        if node is None:
            return ""
        address = node.get("refuri", "") or "#" + node.get("refid", "")
        if not node.get("internal") and "://" in address:
            return str(address)
        page, _, place = address.partition("#")
        anchor = "" if page else heading_anchor(self.headings.get(place, ""))
        return f"#{anchor}" if anchor else self.page_url(address)

    def expand(self, formula: str) -> str:
        """Replace the book's own TeX commands by what they stand for."""
        for name, meaning in self.macros.items():
            formula = re.sub(rf"\\{name}(?![A-Za-z])", meaning.replace("\\", r"\\"), formula)
        return formula


def heading_anchor(heading: str) -> str:
    """Anchor that Jupyter gives to a heading; empty if the heading is more than plain text."""
    return "" if re.search(r"[$`*\\]", heading) else quote(heading.replace(" ", "-"), safe=":,'.?!")


def fenced(code: str, language: str) -> str:
    """Put code between fences."""
    return f"```{language}\n{code.rstrip()}\n```"


def code_span(code: str) -> str:
    """Put code between as many backticks as it takes."""
    if "`" not in code:
        return f"`{code}`"
    return f"`` {code} ``"


def prefixed(text: str, prefix: str) -> str:
    """Put a prefix before each line."""
    return "\n".join((prefix + line).rstrip() for line in text.splitlines())


def escaped(text: str) -> str:
    """Escape what Markdown or Jupyter's mathematics would take for their own."""
    text = re.sub(r"([\\`*$])", r"\\\1", text)
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
    text = re.sub(r"<(?=[A-Za-z/!?])", r"\\<", text)
    return re.sub(r"\](?=[(\[:])", r"\\]", text)


def protect_start(text: str) -> str:
    """Escape a start that would make another block of a paragraph."""
    text = re.sub(r"^([-+>]|#{1,6})(?=\s|$)", r"\\\1", text)
    return re.sub(r"^(\d+)([.)])(?=\s)", r"\1\\\2", text)


def unknown(node: nodes.Node) -> ExtensionError:
    """Say which construct cannot be written, and where it stands."""
    kind, page = type(node).__name__, basename(str(node.source or ""))
    place = f"{page}:{node.line}" if node.line else page
    beginning = " ".join(node.astext().split())[:60]
    return ExtensionError(
        f"{place}: a notebook cannot show a {kind!r} ({beginning!r}); write it otherwise, or teach"
        " book/_ext/notebooks/markdown.py"
    )
