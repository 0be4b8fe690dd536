"""The table of chemistries: where barcode and UMI are in the reads, and which barcodes exist."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path

from latere.errors import StudyError, StudyErrors
from latere.files import fault_of, read_rows
from latere.urls import find_fault

COLUMNS = (
    "chemistry",
    "description",
    "barcode",
    "umi",
    "umi_read",
    "strand",
    "whitelist",
    "source",
)
AUTO = "auto"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
POSITIONS = re.compile(r"([1-9][0-9]{0,3})-([1-9][0-9]{0,3})")
# STAR packs a base into two bits: a barcode part into 64 bits, a UMI into 32.
MAX_BARCODE, MAX_UMI = 31, 16


@dataclass(frozen=True)
class Chemistry:
    """What decides how the reads of a chemistry are taken apart; a row of the table.

    Attributes
    ----------
    name
        Its name in the table.
    barcode
        First and last base of each part of the cell barcode in its read, 1-based.
    umi
        First and last base of the UMI in its read, 1-based.
    umi_read
        ``barcode`` where the UMI is in the barcode read, ``own`` where it has a read of its own.
    strand
        Of the cDNA read, as STARsolo names it: ``Forward`` or ``Reverse``.
    whitelists
        The list of barcodes of each part: a file that ngs-tools ships, or a path.
    """

    name: str
    barcode: Sequence[Sequence[int]]
    umi: Sequence[int]
    umi_read: str
    strand: str
    whitelists: Sequence[str]

    @property
    def barcode_end(self) -> int:
        """Last base of the barcode in its read."""
        return max(end for _, end in self.barcode)

    @property
    def barcode_read_length(self) -> int:
        """Bases that the barcode read must have."""
        if self.umi_read == "own":
            return self.barcode_end
        return max(self.barcode_end, self.umi[1])

    @property
    def umi_read_length(self) -> int:
        """Bases that a UMI read of its own must have; 0 where there is none."""
        return self.umi[1] if self.umi_read == "own" else 0

    @property
    def whitelist_names(self) -> list[str]:
        """Names of the lists as the workflow unpacks them, one per part."""
        return [whitelist_name(whitelist) for whitelist in self.whitelists]

    def differs_in_strand_only(self, other: "Chemistry") -> bool:
        """Whether only the strand of the cDNA distinguishes reads of the two."""
        alike = [field.name for field in fields(self) if field.name not in ("name", "strand")]
        return all(getattr(self, name) == getattr(other, name) for name in alike)


def whitelist_name(whitelist: str) -> str:
    """Name of an unpacked list: that of its file, without its ending."""
    return re.sub(r"(\.txt)?(\.gz)?$", "", Path(whitelist).name)


def find_whitelist(whitelist: str) -> Path:
    """Where a list of barcodes is: in ngs-tools, if it ships it, else at its path."""
    package = Path(find_spec("ngs_tools").submodule_search_locations[0])
    shipped = package / "chemistry" / "whitelists" / whitelist
    return shipped if "/" not in whitelist and os.path.isfile(shipped) else Path(whitelist)


def read_chemistries(path: Path) -> dict[str, Chemistry]:
    """The chemistries of a table, by name.

    Parameters
    ----------
    path
        A table as ``config/chemistries.tsv``: tabs between columns, ``#`` begins a comment.

    Raises
    ------
    StudyError
        All problems of the table: file, row, column, and how to fix each.
    """
    rows = [
        (number, [cell.strip() for cell in line.split("\t")])
        for number, line in read_rows(path, "`chemistries` in the configuration")
    ]
    if not rows:
        raise StudyError(
            str(path),
            "has no chemistry",
            "Add a header and one row per chemistry.",
            code="empty-table",
        )
    header = rows[0][1]
    errors = _check_header(header, f"{path}, row {rows[0][0]}")
    errors += [
        StudyError(
            f"{path}, row {number}",
            f"has {len(row)} columns, the header has {len(header)}",
            "Give every row the same number of tabs.",
            code="row-length",
        )
        for number, row in rows[1:]
        if len(row) != len(header)
    ]
    if errors:
        raise StudyErrors(errors)
    chemistries = {}
    lists = {}
    for number, row in rows[1:]:
        where = f"{path}, row {number}"
        row = dict(zip(header, row, strict=True))
        try:
            chemistry = _to_chemistry(row, where)
        except StudyError as error:
            errors.append(error)
            continue
        if chemistry.name in chemistries:
            errors.append(
                StudyError(
                    f"{where}, column 'chemistry'",
                    f"'{chemistry.name}' appears twice",
                    "Give each row a name of its own.",
                    code="duplicated-name",
                )
            )
        errors += _check_lists(chemistry, where, lists)
        chemistries[chemistry.name] = chemistry
    if errors:
        raise StudyErrors(errors)
    return chemistries


def _check_header(header: list[str], where: str) -> list[StudyError]:
    """Problems of the names of the columns."""
    errors = [
        StudyError(
            where,
            f"column '{name}' appears {count} times",
            "Keep one.",
            code="duplicated-column",
        )
        for name, count in Counter(header).items()
        if count > 1
    ]
    for name in header:
        if name not in COLUMNS:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            fix = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(COLUMNS)}."
            errors.append(StudyError(where, f"unknown column '{name}'", fix, code="unknown-column"))
    errors += [
        StudyError(
            where,
            f"column '{name}' is missing",
            "Columns are separated by tabs.",
            code="missing-column",
        )
        for name in COLUMNS
        if name not in header and not errors
    ]
    return errors


def _to_chemistry(row: dict[str, str], where: str) -> Chemistry:
    """A row of the table.

    Raises
    ------
    StudyError
        A value that is not what its column holds.
    """

    def at(column: str) -> str:
        return f"{where}, column '{column}'"

    name = row["chemistry"]
    if not NAME.fullmatch(name) or name == AUTO:
        raise StudyError(
            at("chemistry"),
            f"{name!r} is not a valid name",
            f"Use letters, digits, '.', '_' and '-'; '{AUTO}' has a meaning of its own.",
            code="invalid-name",
        )
    spans = {}
    for column, most in (("barcode", MAX_BARCODE), ("umi", MAX_UMI)):
        found = [POSITIONS.fullmatch(part.strip()) for part in row[column].split(",")]
        if not all(found):
            fix = "Write first and last base, from 1, as 1-16; parts of a barcode as 1-9,22-30."
            raise StudyError(
                at(column), f"{row[column]!r} is not a list of positions", fix, code="not-positions"
            )
        spans[column] = [(int(match[1]), int(match[2])) for match in found]
        for first, last in spans[column]:
            if last < first:
                raise StudyError(
                    at(column),
                    f"{first}-{last} ends before it begins",
                    "Swap the two.",
                    code="not-positions",
                )
            if last - first >= most:
                raise StudyError(
                    at(column),
                    f"{first}-{last} has {last - first + 1} bases",
                    f"STAR accepts at most {most}; split a barcode into parts.",
                    code="long-barcode",
                )
    if len(spans["umi"]) > 1:
        raise StudyError(
            at("umi"),
            f"{row['umi']!r} has {len(spans['umi'])} parts",
            "A UMI has one part.",
            code="umi-parts",
        )
    for column, known in (("umi_read", ("barcode", "own")), ("strand", ("Forward", "Reverse"))):
        if row[column] not in known:
            raise StudyError(
                at(column),
                f"{row[column]!r} is not {' or '.join(known)}",
                f"Write {' or '.join(known)}.",
                code="unknown-value",
            )
    together = sorted(spans["barcode"] + (spans["umi"] if row["umi_read"] == "barcode" else []))
    for one, two in zip(together, together[1:], strict=False):
        if two[0] <= one[1]:
            raise StudyError(
                at("umi" if spans["umi"][0] in (one, two) else "barcode"),
                f"{one[0]}-{one[1]} and {two[0]}-{two[1]} overlap",
                "Positions count from 1, and the last base is included.",
                code="overlapping-positions",
            )
    whitelists = tuple(part.strip() for part in row["whitelist"].split(","))
    if len(whitelists) != len(spans["barcode"]):
        raise StudyError(
            at("whitelist"),
            f"{len(whitelists)} lists for {len(spans['barcode'])} parts of the barcode",
            "Name a list for each part, separated by commas.",
            code="list-number",
        )
    for whitelist in whitelists:
        if fault := find_fault(whitelist):
            raise StudyError(at("whitelist"), *fault, code="invalid-path")
        if not NAME.fullmatch(whitelist_name(whitelist)):
            raise StudyError(
                at("whitelist"),
                f"'{whitelist}' has characters outside letters, digits, '.', '_' and '-' in its "
                "file name",
                "Rename the file.",
                code="invalid-name",
            )
        if fault := fault_of(find_whitelist(whitelist)):
            problem, fix = fault
            problem = f"'{whitelist}' is not a list of ngs-tools, and {problem}"
            raise StudyError(at("whitelist"), problem, fix, code="unreadable-file")
    return Chemistry(
        name,
        barcode=tuple(spans["barcode"]),
        umi=spans["umi"][0],
        umi_read=row["umi_read"],
        strand=row["strand"],
        whitelists=whitelists,
    )


def _check_lists(chemistry: Chemistry, where: str, lists: dict) -> list[StudyError]:
    """Problems of the lists of a row with those of rows before it.

    Parameters
    ----------
    lists
        By name: path and bases of a barcode. Lists that are new are added.
    """
    errors = []
    for whitelist, (first, last) in zip(chemistry.whitelists, chemistry.barcode, strict=True):
        name, length = whitelist_name(whitelist), last - first + 1
        other, bases = lists.setdefault(name, (whitelist, length))
        if other != whitelist:
            problem = f"'{whitelist}' and '{other}' are two lists with the same name"
            errors.append(
                StudyError(
                    f"{where}, column 'whitelist'", problem, "Rename one.", code="duplicated-list"
                )
            )
        elif bases != length:
            errors.append(
                StudyError(
                    f"{where}, column 'barcode'",
                    f"{first}-{last} has {length} bases, and another row reads barcodes of "
                    f"{bases} bases from '{whitelist}'",
                    "Correct the positions or name another list.",
                    code="barcode-lengths-differ",
                )
            )
    return errors


def solo_options(chemistry: Chemistry, whitelists: list) -> dict:
    """Options of STARsolo for the positions of barcode and UMI.

    Parameters
    ----------
    chemistry
        Of the run.
    whitelists
        Its unpacked lists, one per part.

    Returns
    -------
    dict
        Option to value, or to a list of values. A UMI that has a read of its own is taken to follow
        the barcode, as `latere.reads.fastq.reading_command` gives it.
    """
    first, last = chemistry.umi
    if chemistry.umi_read == "own":
        first, last = first + chemistry.barcode_end, last + chemistry.barcode_end
    common = {"--soloCBwhitelist": list(whitelists), "--soloStrand": chemistry.strand}
    if len(chemistry.barcode) == 1:
        ((start, end),) = chemistry.barcode
        return common | {
            "--soloType": "CB_UMI_Simple",
            "--soloCBstart": start,
            "--soloCBlen": end - start + 1,
            "--soloUMIstart": first,
            "--soloUMIlen": last - first + 1,
            "--soloCBmatchWLtype": "1MM_multi_Nbase_pseudocounts",
        }
    # From the start of the read (anchor 0), counted from 0. The only correction of errors that
    # STAR has for parts of fixed length is 1MM.
    return common | {
        "--soloType": "CB_UMI_Complex",
        "--soloCBposition": [f"0_{start - 1}_0_{end - 1}" for start, end in chemistry.barcode],
        "--soloUMIposition": f"0_{first - 1}_0_{last - 1}",
        "--soloCBmatchWLtype": "1MM",
    }
