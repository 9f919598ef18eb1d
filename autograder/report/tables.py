"""Tables as spreadsheets and gradebooks write them: any usual separator, encoding and decimal sign, blank rows."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import charset_normalizer

from autograder.runtime.errors import KitError

MAX_BYTES = 64 * 2**20
_SEPARATORS = ",;\t|"
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32"}
_BOMS |= {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# What spreadsheets write that write no UTF-8; a guess among all encodings there are would find stranger ones.
_CODE_PAGES = ["cp1250", "cp1252", "cp1251", "cp1253", "cp1254", "mac_roman"]


@dataclass(frozen=True)
class Table:
    """A table with a line of headings.

    Attributes:
        head: The headings, without space around them.
        rows: The lines that are not blank, each as long as `head`.
        encoding: What it was read as.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    encoding: str

    def column(self, *names: str) -> int | None:
        """The place of the first heading that is one of the names, whatever its case; None if there is none."""
        wanted = [folded(name) for name in names]
        places = {folded(name): place for place, name in reversed(list(enumerate(self.head)))}
        return next((places[name] for name in wanted if name in places), None)


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        KitError: It cannot be read, is a workbook, or has no headings.
    """
    rows, encoding = read_rows(path)
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows or len(rows[0]) < 2:
        raise KitError(f"{path} is no table: its first line has to hold headings with , ; or tabs between them.")
    head = tuple(cell.strip() for cell in rows[0])
    return Table(head, tuple(tuple((*row, *[""] * len(head))[: len(head)]) for row in rows[1:]), encoding)


def read_rows(path: Path) -> tuple[list[list[str]], str]:
    """All lines of a table, blank ones too, and what it was read as.

    Raises:
        KitError: It cannot be read, or is a workbook.
    """
    try:
        size, data = path.stat().st_size, path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise KitError(f"{path} cannot be read ({error.strerror}).") from error
    if data is None or size > MAX_BYTES:
        raise KitError(f"{path} is no file, or larger than {MAX_BYTES // 2**20} MB: give a table, saved as CSV.")
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise KitError(f"{path} is a workbook. Save the sheet as CSV, and give that file.")
    text, encoding = decoded(data, path)
    return _split(text), encoding


def decoded(data: bytes, path: Path) -> tuple[str, str]:
    """A file's text and what it was read as.

    Raises:
        KitError: It is of no encoding that is known here.
    """
    for mark, encoding in _BOMS.items():
        if data.startswith(mark):
            try:
                return data.decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise KitError(f"{path} is damaged: it begins as {encoding} and does not go on so.") from error
    if b"\0" not in data:
        try:
            return data.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    wide = ["utf_16_le", "utf_16_be"] if b"\0" in data else _CODE_PAGES
    best = charset_normalizer.from_bytes(data, cp_isolation=wide).best() or charset_normalizer.from_bytes(data).best()
    if best is None:
        raise KitError(f"{path} is of an encoding that is not known here. Save it as CSV in UTF-8, and give that file.")
    return str(best), best.encoding


def number(text: str) -> float | None:
    """A number with a decimal point or comma, thousands parted or not; None for anything else."""
    kept = re.sub(r"[\s'’\u00a0\u202f]", "", text)
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})*,\d+", kept) or re.fullmatch(r"[+-]?\d+,\d+", kept):
        kept = kept.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+\.\d+", kept):
        kept = kept.replace(",", "")
    try:
        value = float(kept)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def folded(name: str) -> str:
    """A name as it is compared: composed letters, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _split(text: str) -> list[list[str]]:
    """Rows of cells, by the separator that parts the headings into most."""
    text = text.removeprefix("\ufeff")
    told = re.match(r"sep=([,;\t|])\r?\n", text)  # as Excel writes it
    if told:
        return _rows(text[told.end() :], told[1])
    start = text.lstrip("\r\n\t ;,")
    line = start.partition("\n")[0]
    best = max(_SEPARATORS, key=lambda mark: len(next(iter(_rows(line, mark)), [])))
    return _rows(text, best)


def _rows(text: str, separator: str) -> list[list[str]]:
    csv.field_size_limit(2**20)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error:
        return []
