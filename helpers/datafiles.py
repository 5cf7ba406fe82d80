"""Looking into a data file before a library does: each fault as a sentence, with the way out.

pandas and ``datasets`` stop at a bad file with pages of traceback, or read it wrong and say
nothing. Nothing is repaired here and nothing is guessed in silence: a check either describes the
file or says which line is wrong and what to do.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from helpers import messages
from helpers.display import Table, number, table
from helpers.errors import CourseError

# What pandas and `datasets` read as "no value" in a CSV file.
MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
     "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)  # fmt: skip
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# What a file that is not text starts with.
SIGNATURES = {
    b"PK\x03\x04": "spreadsheet",
    b"\xd0\xcf\x11\xe0": "spreadsheet",
    b"PAR1": "parquet",
    b"%PDF": "pdf",
    b"\x1f\x8b": "compressed",
}
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"
WESTERN = "cp1252"  # Latin-1 as Windows writes it, in Brazil too
DECIMAL_COMMA = re.compile(r"[-+]?\d{1,3}(?:\.?\d{3})*,\d+")
# Accented letters of a UTF-8 file that was once read as Latin-1 and saved again.
MOJIBAKE = re.compile("Ã[\u0080-\u00bf]|Â[\u0080-\u00bf]")
SHOWN = 3
SHOWN_COUNTS = 8
SHOWN_CHARACTERS = 40
LARGEST_JSON_BYTES = 200_000_000


@dataclass(frozen=True)
class FileReport:
    """What is in a data file whose form is right.

    Attributes:
        path: the file.
        rows: how many records it has.
        columns: their names, in the file's order.
        options: what ``load_dataset("csv", ...)`` and ``pandas.read_csv`` need to read it as it
            was checked; empty where their defaults do.
        missing: how many records have no value, for each column that lacks any.
        labels: how many records each label has, if a label's column was named.
        notes: what is odd but does no harm, a sentence each.
    """

    path: Path
    rows: int
    columns: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    labels: Labels | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _table(self) -> Table:
        nothing = messages.text("datafiles.none")
        facts = {
            "rows": number(self.rows, 0),
            "columns": ", ".join(self.columns),
            "options": ", ".join(f"{name}={value!r}" for name, value in self.options.items()),
            "missing": _counts(self.missing) or nothing,
            "labels": _counts(self.labels.counts) if self.labels else "",
            "notes": " ".join(self.notes),
        }
        rows = [
            {"": messages.text(f"datafiles.{name}"), " ": value}
            for name, value in facts.items()
            if value
        ]
        return table(rows, caption=self.path.name, row_headers=True, show_columns=False)


@dataclass(frozen=True)
class Labels:
    """How many examples each label has.

    Attributes:
        column: where the labels are.
        counts: a label's name to its number of examples, in the order of the classes where the
            data declares one, else from the most frequent to the least.
    """

    column: str
    counts: Mapping[str, int]

    @property
    def names(self) -> list[str]:
        """The labels' names."""
        return list(self.counts)

    @property
    def majority(self) -> float:
        """The share of the most frequent label: the accuracy of who always answers it."""
        return max(self.counts.values()) / sum(self.counts.values())

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _table(self) -> Table:
        total = sum(self.counts.values())
        return table(
            [
                {
                    self.column: name,
                    messages.text("datafiles.examples"): count,
                    messages.text("datafiles.share"): f"{number(100 * count / total, 1)} %",
                }
                for name, count in self.counts.items()
            ]
        )


def check_csv(
    path: str | os.PathLike[str],
    *,
    text: str | None = None,
    label: str | None = None,
    sep: str = ",",
    encoding: str = "utf-8",
    decimal: str = ".",
) -> FileReport:
    """Check a CSV file before pandas or ``datasets`` read it.

    Args:
        path: the file.
        text: the column with the texts; each record must have one.
        label: the column with the labels; each record must have one, and there must be two.
        sep: what separates the columns, as pandas names it.
        encoding: how the file's letters are written.
        decimal: what separates a number's decimals.

    Raises:
        CourseError: the file is missing, empty, not text, in another encoding or with another
            separator, has a repeated name in its header, a line with more or fewer values than
            the header, numbers with a comma where ``decimal`` is a point, or no value where
            ``text`` or ``label`` need one.
    """
    path = _text_file(path, encoding)
    _check_encoding(path, encoding)
    with _opened(path, encoding) as file:
        lines = csv.reader(file, delimiter=sep, strict=True)
        columns = _header(path, lines, sep)
        _check_columns(columns, text, label)
        counted = _Counted(columns, text, label)
        for values in _csv_lines(path, lines):
            counted.add(values, lines.line_num)
    counted.check(path)
    if decimal == ".":
        counted.check_decimals(path)
    options = {"sep": sep, "encoding": encoding, "decimal": decimal}
    usual = {"sep": ",", "encoding": "utf-8", "decimal": "."}
    return FileReport(
        path,
        counted.rows,
        columns,
        {name: value for name, value in options.items() if value != usual[name]},
        {name: count for name, count in counted.missing.items() if count},
        _labels(label, counted.labels) if label else None,
        _notes(columns, counted.looks_broken),
    )


def check_json(
    path: str | os.PathLike[str],
    *,
    text: str | None = None,
    label: str | None = None,
    encoding: str = "utf-8",
) -> FileReport:
    """Check a JSON Lines file, or one with a list of records, before ``datasets`` reads it.

    Args:
        path: the file.
        text: the field with the texts; each record must have one.
        label: the field with the labels; each record must have one, and there must be two.
        encoding: how the file's letters are written.

    Raises:
        CourseError: the file is missing, empty, not text or in another encoding; a line is not
            JSON or not a record; the records are inside another object; a field holds texts in
            one record and numbers in another; or ``text`` or ``label`` lack a value.
    """
    path = _text_file(path, encoding)
    _check_encoding(path, encoding)
    rows = 0
    columns: dict[str, None] = {}  # a set that keeps its order
    present: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    kinds: dict[str, tuple[type, int]] = {}
    absent: dict[str, list[int]] = {name: [] for name in (text, label) if name}
    for line, record in _json_records(path, encoding):
        rows += 1
        columns |= dict.fromkeys(record)
        _check_kinds(path, line, record, kinds)
        present.update(name for name, value in record.items() if not _is_missing(value))
        for name in absent:
            if _is_missing(record.get(name)):
                absent[name].append(line)
        if label and not _is_missing(record.get(label)):
            labels[str(record[label])] += 1
    _check_columns(list(columns), text, label)
    for name, places in absent.items():
        _check_missing(name, places)
    return FileReport(
        path,
        rows,
        tuple(columns),
        {} if encoding == "utf-8" else {"encoding": encoding},
        {name: rows - present[name] for name in columns if present[name] < rows},
        _labels(label, labels) if label else None,
    )


def check_labels(data: Any, column: str = "label") -> Labels:
    """Check the column of labels before a model learns from it.

    Args:
        data: a ``datasets.Dataset``, a pandas ``DataFrame``, or a list of dictionaries.
        column: where the labels are.

    Returns:
        The labels and how many examples each has.

    Raises:
        CourseError: there are no examples, no such column, an example without a label, one class
            only, or one class written in two ways, such as ``"Positivo"`` and ``"positivo "``.
    """
    if isinstance(data, Mapping):  # a DatasetDict: one dataset a split
        splits = ", ".join(map(str, data))
        raise CourseError(messages.text("datafiles.choose_split", splits=splits))
    columns = _column_names(data)
    _check_columns(columns, None, column)
    rows = isinstance(data, list)
    values = [row.get(column) for row in data] if rows else list(data[column])
    names = _class_names(data, column)
    if names:  # numbers, of which -1 is no class
        values = [_class_name(value, names) for value in values]
    absent = [place for place, value in enumerate(values) if _is_missing(value)]
    _check_missing(column, absent, key="missing_labels")
    return _labels(column, Counter(map(str, values)), order=names)


# --- the file ---------------------------------------------------------------------------------


def _text_file(path: str | os.PathLike[str], encoding: str) -> Path:
    """Return the path of a file that exists, is not empty and begins as text does."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except (OSError, ValueError) as error:
        raise CourseError(messages.text("datafiles.no_file", path=path)) from error
    if not start.removeprefix(UTF8_MARK).strip():
        raise CourseError(messages.text("datafiles.empty", name=path.name))
    for signature, kind in SIGNATURES.items():
        if start.startswith(signature):
            raise CourseError(messages.text(f"datafiles.is_{kind}", name=path.name))
    if "16" in encoding:
        return path
    if start.startswith(UTF16_MARKS):
        raise CourseError(messages.text("datafiles.is_utf16", name=path.name))
    if b"\0" in start:
        raise CourseError(messages.text("datafiles.is_binary", name=path.name))
    return path


def _check_encoding(path: Path, encoding: str) -> None:
    """Find the first line that is not in this encoding, or the letters that show another one."""
    try:
        "".encode(encoding)
    except LookupError as error:
        raise CourseError(messages.text("datafiles.no_encoding", encoding=encoding)) from error
    if "16" in encoding:
        return  # its lines do not end in one byte; reading them will tell
    is_utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}
    accented = False  # a line that is not plain ASCII, all such lines being valid UTF-8
    with path.open("rb") as file:
        for place, line in enumerate(file, 1):
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                if is_utf8:
                    raise CourseError(_not_utf8(path, place, line, error)) from error
                _check_decodes(path, place, line, encoding)
                return
            accented = True
    if accented and not is_utf8:
        sentence = messages.text("datafiles.is_utf8", name=path.name, encoding=encoding)
        raise CourseError(sentence)


def _check_decodes(path: Path, place: int, line: bytes, encoding: str) -> None:
    try:
        line.decode(encoding)
    except UnicodeDecodeError as error:
        sentence = messages.text(
            "datafiles.other_encoding", name=path.name, line=place, encoding=encoding
        )
        raise CourseError(sentence) from error


def _not_utf8(path: Path, place: int, line: bytes, error: UnicodeDecodeError) -> str:
    """Say where a file stops being UTF-8, and show those letters as Windows would read them."""
    around = line[max(0, error.start - SHOWN_CHARACTERS // 2) : error.start + SHOWN_CHARACTERS // 2]
    guess = _shortened(around.decode(WESTERN, errors="replace"))
    return messages.text("datafiles.not_utf8", name=path.name, line=place, guess=guess)


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Open for reading; what still fails to decode becomes a sentence."""
    if encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
        encoding = "utf-8-sig"  # the mark that Excel writes is not part of the first name
    try:
        with path.open(encoding=encoding, newline="") as file:
            yield file
    except UnicodeError as error:
        sentence = messages.text("datafiles.undecodable", name=path.name, encoding=encoding)
        raise CourseError(sentence) from error


# --- CSV --------------------------------------------------------------------------------------


class _Counted:
    """What is counted while a CSV file goes by; the file itself may be larger than memory."""

    def __init__(self, columns: tuple[str, ...], text: str | None, label: str | None) -> None:
        self.rows = 0
        self.missing: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.looks_broken = False
        self._columns = columns
        self._label = label
        self._ragged: list[tuple[int, int]] = []  # line, number of values
        self._absent: dict[str, list[int]] = {name: [] for name in (text, label) if name}
        self._with_comma: Counter[str] = Counter()

    def add(self, values: list[str], line: int) -> None:
        """Count one record, which ends at this line."""
        if not values:  # a blank line, which every reader skips
            return
        self.rows += 1
        if len(values) != len(self._columns):
            self._ragged.append((line, len(values)))
            return
        for name, value in zip(self._columns, values, strict=True):
            if value in MISSING or not value.strip():
                self.missing[name] += 1
                if name in self._absent:
                    self._absent[name].append(line)
            elif name == self._label:
                self.labels[value] += 1
            elif DECIMAL_COMMA.fullmatch(value.strip()):
                self._with_comma[name] += 1
            elif not self.looks_broken:
                self.looks_broken = MOJIBAKE.search(value) is not None

    def check(self, path: Path) -> None:
        """Refuse a file without records, or with records that lack what they need."""
        if self.rows == 0:
            raise CourseError(messages.text("datafiles.only_header", name=path.name))
        if self._ragged:
            raise CourseError(_ragged(path, self._ragged, len(self._columns)))
        for name, lines in self._absent.items():
            _check_missing(name, lines)

    def check_decimals(self, path: Path) -> None:
        """Refuse columns in which every value is a number with a comma."""
        commas = [
            name
            for name, count in self._with_comma.items()
            if count == self.rows - self.missing[name]
        ]
        if commas:
            told = _quoted(commas)
            raise CourseError(messages.text("datafiles.decimal", name=path.name, columns=told))


def _header(path: Path, lines: Any, sep: str) -> tuple[str, ...]:
    """Read the names of the columns: the first line that is not blank."""
    header = next((line for line in _csv_lines(path, lines) if line), None)
    if header is None:
        raise CourseError(messages.text("datafiles.empty", name=path.name))
    others = [other for other in SEPARATORS if other != sep and other in header[0]]
    if len(header) == 1 and others:
        found = max(others, key=header[0].count)
        kind = messages.text(f"datafiles.separator_{SEPARATORS[found]}")
        written = "\\t" if found == "\t" else found
        sentence = messages.text("datafiles.separator", name=path.name, kind=kind, sep=written)
        raise CourseError(sentence)
    names = [name.strip() for name in header]
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        told = _quoted(repeated)
        raise CourseError(messages.text("datafiles.repeated", name=path.name, columns=told))
    return tuple(header)


def _csv_lines(path: Path, lines: Any) -> Iterator[list[str]]:
    """Go through the lines; a quotation mark without its pair becomes a sentence."""
    last = lines.line_num
    while True:
        try:
            values = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            long = "limit" in str(error)  # the longest value that Python's own reader takes
            sentence = messages.text(
                "datafiles.long_value" if long else "datafiles.open_quote",
                name=path.name,
                line=last + 1,
                limit=number(csv.field_size_limit(), 0),
            )
            raise CourseError(sentence) from error
        last = lines.line_num
        yield values


def _ragged(path: Path, ragged: Sequence[tuple[int, int]], expected: int) -> str:
    """Say which lines have more or fewer values than there are columns."""
    parts = [
        messages.text("datafiles.ragged_line", line=line, count=count)
        for line, count in ragged[:SHOWN]
    ]
    if len(ragged) > SHOWN:
        parts.append(messages.text("datafiles.and_more"))
    longer = ragged[0][1] > expected
    return messages.text(
        "datafiles.ragged_long" if longer else "datafiles.ragged_short",
        name=path.name,
        expected=expected,
        lines=", ".join(parts),
    )


def _notes(columns: Sequence[str], looks_broken: bool) -> tuple[str, ...]:
    keys = []
    if any(not name.strip() for name in columns):
        keys.append("note_unnamed")
    if looks_broken:
        keys.append("note_mojibake")
    return tuple(messages.text(f"datafiles.{key}") for key in keys)


# --- JSON -------------------------------------------------------------------------------------


def _json_records(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give each record with its line; in a list, with its place, from 1."""
    with _opened(path, encoding) as file:
        first = next(line for line in file if line.strip())
        if first.lstrip().startswith("["):
            yield from _listed_records(path, encoding)
            return
        file.seek(0)
        for place, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise CourseError(_not_a_line(path, place, line, encoding)) from error
            _check_record(path, place, record)
            yield place, record


def _listed_records(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    whole = _whole_json(path, encoding)
    if not isinstance(whole, list):
        raise CourseError(messages.text("datafiles.bad_list", name=path.name))
    if not whole:
        raise CourseError(messages.text("datafiles.empty", name=path.name))
    for place, record in enumerate(whole, 1):
        _check_record(path, place, record)
        yield place, record


def _whole_json(path: Path, encoding: str) -> Any:
    """Read the file as one JSON value; None where it is not one, or is too large to try."""
    if path.stat().st_size > LARGEST_JSON_BYTES:
        return None
    with _opened(path, encoding) as file:
        try:
            return json.load(file)
        except ValueError:
            return None


def _not_a_line(path: Path, place: int, line: str, encoding: str) -> str:
    """Tell a file that is one object over several lines from one with a bad line."""
    whole = _whole_json(path, encoding)
    if isinstance(whole, dict):
        lists = [name for name, value in whole.items() if isinstance(value, list)]
        key = "datafiles.one_object_field" if lists else "datafiles.one_object"
        return messages.text(key, name=path.name, field=lists[0] if lists else "")
    shown = _shortened(line.strip())
    return messages.text("datafiles.bad_json", name=path.name, line=place, shown=shown)


def _check_record(path: Path, place: int, record: Any) -> None:
    if not isinstance(record, dict):
        raise CourseError(messages.text("datafiles.not_record", name=path.name, line=place))


def _check_kinds(
    path: Path, line: int, record: Mapping[str, Any], kinds: dict[str, tuple[type, int]]
) -> None:
    """Refuse a field that holds a text in one record and a number in another."""
    for name, value in record.items():
        if value is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        kind = float if is_number else type(value)
        before, first_line = kinds.setdefault(name, (kind, line))
        if before is not kind:
            sentence = messages.text(
                "datafiles.mixed", name=path.name, field=name, first=first_line, line=line
            )
            raise CourseError(sentence)


# --- columns and labels -----------------------------------------------------------------------


def _check_columns(columns: Sequence[str], *wanted: str | None) -> None:
    for name in wanted:
        if name is not None and name not in columns:
            sentence = messages.text(
                "datafiles.no_column", column=name, columns=", ".join(columns) or "-"
            )
            raise CourseError(sentence)


def _column_names(data: Any) -> list[str]:
    if isinstance(data, list):
        return list(dict.fromkeys(name for row in data for name in row))
    names = data.column_names if hasattr(data, "column_names") else data.columns
    return list(map(str, names))


def _class_names(data: Any, column: str) -> list[str]:
    """Return the names of the classes, in their order; empty where the data declares none."""
    features = getattr(data, "features", None) or {}
    return list(getattr(features.get(column), "names", None) or [])


def _class_name(value: int | None, names: Sequence[str]) -> str | None:
    """Return the name of a class, or None for a number that is none's."""
    return names[value] if value is not None and 0 <= value < len(names) else None


def _check_missing(column: str, places: Sequence[int], key: str = "missing_values") -> None:
    """Refuse records without a value; `places` are lines of a file, or rows from 0."""
    if not places:
        return
    shown = ", ".join(map(str, places[:SHOWN]))
    if len(places) > SHOWN:
        shown += f" {messages.text('datafiles.and_more')}"
    sentence = messages.text(f"datafiles.{key}", column=column, count=len(places), places=shown)
    raise CourseError(sentence)


def _labels(column: str, counts: Mapping[str, int], order: Sequence[str] = ()) -> Labels:
    """Describe the labels; fewer than two classes teach nothing."""
    if not counts:
        raise CourseError(messages.text("datafiles.no_examples", column=column))
    if len(counts) == 1:
        (only,) = counts
        sentence = messages.text("datafiles.single_class", column=column, name=only)
        raise CourseError(sentence)
    spellings: dict[str, list[str]] = {}
    for name in counts:
        spellings.setdefault(name.strip().casefold(), []).append(name)
    for names in spellings.values():
        if len(names) > 1:
            told = _quoted(names)
            raise CourseError(messages.text("datafiles.spellings", column=column, names=told))
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    names = [name for name in order if counts.get(name)] or ordered
    return Labels(column, {name: counts[name] for name in names})


def _is_missing(value: Any) -> bool:
    """Say whether there is no value: None, a text without letters, or a NaN."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    try:
        return bool(value != value)  # NaN alone differs from itself
    except TypeError:
        return True  # pandas.NA refuses to say
    except ValueError:
        return False  # an array: it differs in places


# --- words ------------------------------------------------------------------------------------


def _counts(counts: Mapping[str, int]) -> str:
    """Write names with their counts; of many, the first ones."""
    parts = [f"{name} ({number(count, 0)})" for name, count in counts.items()]
    if len(parts) > SHOWN_COUNTS:
        parts[SHOWN_COUNTS:] = [messages.text("datafiles.and_more")]
    return ", ".join(parts)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)


def _shortened(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"
