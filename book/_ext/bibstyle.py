"""How the book cites: Bates et al. (2015) in the text, entries by author and year at the end.

An entry needs no label of its own (the style sheet hides pybtex's number). A DOI is a link.
"""

from dataclasses import dataclass, field

from pybtex.plugin import register_plugin  # type: ignore[import-untyped]
from pybtex.style.formatting.plain import (  # type: ignore[import-untyped]
    Style as PlainStyle,
)
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinxcontrib.bibtex.plugin import register_plugin as register_bibtex_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle


class BookStyle(PlainStyle):  # type: ignore[misc]  # pybtex has no type information
    """Entries in order of author, year and title."""

    default_sorting_style = "author_year_title"


def _round() -> BracketStyle:
    return BracketStyle(left="(", right=")")


@dataclass
class RoundReferenceStyle(AuthorYearReferenceStyle):
    """Author and year, in round brackets."""

    bracket_parenthetical: BracketStyle = field(default_factory=_round)
    bracket_textual: BracketStyle = field(default_factory=_round)
    bracket_author: BracketStyle = field(default_factory=_round)
    bracket_label: BracketStyle = field(default_factory=_round)
    bracket_year: BracketStyle = field(default_factory=_round)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register both styles under the names that _config.yml uses."""
    register_plugin("pybtex.style.formatting", "book", BookStyle)
    register_bibtex_plugin("sphinxcontrib.bibtex.style.referencing", "book", RoundReferenceStyle)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
