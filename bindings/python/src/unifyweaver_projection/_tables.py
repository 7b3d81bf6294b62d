"""Tables as text and as HTML for notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from unicodedata import east_asian_width


@dataclass(frozen=True)
class Table:
    """A table with a title, which may be empty."""

    title: str
    header: list[str]
    rows: list[list[str]]


#: Maximum length of a cell's text.
_LONGEST = 60


def _clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 2].rstrip() + " …"


def _width(text: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def as_text(head: str, tables: list[Table], notes: list[str] | None = None) -> str:
    """Returns the tables as text, one below the other, with aligned columns."""
    blocks = [head] if head else []
    for table in tables:
        cells = [table.header] + [[_clipped(cell) for cell in row] for row in table.rows]
        widths = [max(_width(row[i]) for row in cells) for i in range(len(table.header))]
        lines = [table.title] if table.title else []
        for row in cells:
            padded = (c + " " * (w - _width(c)) for c, w in zip(row, widths))
            lines.append("  ".join(padded).rstrip())
        blocks.append("\n".join(lines))
    blocks += [f"note: {note}" for note in notes or []]
    return "\n\n".join(blocks)


def as_html(head: str, tables: list[Table], notes: list[str] | None = None) -> str:
    """Returns the tables as HTML. Texts come from data, so they are escaped."""
    parts = [f"<p>{escape(head)}</p>"] if head else []
    for table in tables:
        caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
        header = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_clipped(cell))}</td>" for cell in row) + "</tr>"
            for row in table.rows
        )
        parts.append(f"<table>{caption}<thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>")
    parts += [f"<p><b>note:</b> {escape(note)}</p>" for note in notes or []]
    return "\n".join(parts)


class Report:
    """Base class of results that are shown as tables."""

    def _head(self) -> str:
        """A line above the tables; may be empty."""
        return ""

    def _tables(self) -> list[Table]:
        raise NotImplementedError

    def _notes(self) -> list[str]:
        """Notes below the tables."""
        return []

    def __str__(self) -> str:
        return as_text(self._head(), self._tables(), self._notes())

    def _repr_html_(self) -> str:
        return as_html(self._head(), self._tables(), self._notes())
