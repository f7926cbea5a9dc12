"""Tables of words and numbers, as plain text and as HTML for a notebook."""

import html
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table, its cells already written as text.

    Attributes
    ----------
    caption : str
        What stands above it; empty for nothing.
    header : tuple of str
        Names of the columns.
    rows : tuple of tuple of str
        Cells, a tuple for each row.
    labels : int
        How many leading columns name their rows. They are words, and headers in HTML; the other
        columns are numbers.
    words : tuple of int
        Positions of further columns that are words.
    css : str
        Class of the table in HTML.
    row_css : tuple of str
        Class of each row in HTML, if rows have one.

    Examples
    --------
    >>> table = Table("Two", ("what", "value"), (("sigma", "30.9"), ("tau", "36.02")), labels=1)
    >>> print(table.text())
    Two:
     what   value
     sigma   30.9
     tau    36.02
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int
    words: tuple[int, ...] = ()
    css: str = "fit"
    row_css: tuple[str, ...] = ()

    def _is_number(self, column: int) -> bool:
        return column >= self.labels and column not in self.words

    def text(self) -> str:
        """Align the columns: words to the left, numbers to the right.

        Returns
        -------
        str
            A line for the header and each row; under a caption they are indented.

        Examples
        --------
        >>> print(Table("", ("what", "value"), (("rows", "180"),), labels=1).text())
        what  value
        rows    180
        """
        aligned = []
        for c, column in enumerate(zip(self.header, *self.rows, strict=True)):
            width, side = max(map(len, column)), ">" if self._is_number(c) else "<"
            aligned.append([f"{cell:{side}{width}}" for cell in column])
        lines = ["  ".join(line).rstrip() for line in zip(*aligned, strict=True)]
        if not self.caption:
            return "\n".join(lines)
        return "\n".join([f"{self.caption}:", *(f" {line}" for line in lines)])

    def html(self) -> str:
        """Write the table in HTML.

        Returns
        -------
        str
            A ``div`` that scrolls sideways where the page is narrow, with the table in it.

        Examples
        --------
        >>> Table("", ("a", "b"), (("x<y", "2"),), labels=1).html().split("<tbody>")[1]
        '<tr><th scope="row">x&lt;y</th><td class="number">2</td></tr></tbody></table></div>'
        """
        css = [' class="number"' if self._is_number(c) else "" for c in range(len(self.header))]
        of_rows = [f' class="{name}"' for name in self.row_css] or [""] * len(self.rows)
        head = "".join(
            f'<th scope="col"{css[c]}>{html.escape(cell)}</th>'
            for c, cell in enumerate(self.header)
        )
        body = "\n".join(  # a line each, for those who read the text of a page
            f"<tr{row_css}>"
            + "".join(
                f'<th scope="row">{html.escape(cell)}</th>'
                if c < self.labels
                else f"<td{css[c]}>{html.escape(cell)}</td>"
                for c, cell in enumerate(row)
            )
            + "</tr>"
            for row, row_css in zip(self.rows, of_rows, strict=True)
        )
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        return (
            f'<div class="table-scroll"><table class="{self.css}">{caption}'
            f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
        )
