"""Bad inputs by kind: how each changes a valid study, and what the message must name.

A generator marked with `@kind` yields cases. To add a kind, write a generator.
"""

import gzip
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import yaml
from bad_studies import CASES, base, rows, sheet
from scipy.sparse import csr_matrix

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
CONFIG, SHEET = "study.yaml", "samples.tsv"
LARGE = 65 << 20


@dataclass
class Case:
    """A bad input.

    Attributes
    ----------
    name
        What is bad.
    change
        Makes it so; it is called with the folder of a valid study as the working directory.
    parts
        What the message must hold: file, row or key, the value, and `[code]`.
    job
        Files of a matrix that a job reads; None where the dry run must see it.
    """

    name: str
    change: Callable[[], object]
    parts: tuple[str, ...] = ()
    job: tuple[str, ...] | None = None


KINDS: dict[str, Callable[[], Iterator[Case]]] = {}


def kind(function):
    """Register a generator of cases by its name."""
    KINDS[function.__name__] = function
    return function


def write_study(folder: Path) -> None:
    """A valid study, and whole files of each kind beside it."""
    tables = folder / "config"
    tables.mkdir()
    for name in ("chemistries", "gene_sets", "markers", "published_cells", "references"):
        shutil.copy(ROOT / f"config/{name}.tsv", tables)
    shutil.copytree(ROOT / "config/schemas", tables / "schemas")
    (folder / CONFIG).write_text(yaml.safe_dump(base()))
    (folder / SHEET).write_text(sheet(rows()))
    counts = csr_matrix(np.diag([3, 1, 4, 1]).astype(np.float32))
    obs = pd.DataFrame({"part": list("0123")}, index=list("abcd"))
    var = pd.DataFrame(index=[f"G{n}" for n in range(4)])
    for number in range(1, 5):
        ad.AnnData(counts, obs=obs, var=var).write_h5ad(folder / f"m{number}.h5ad")
    ad.AnnData(counts.toarray(), obs=obs, var=var).write_h5ad(folder / "dense.h5ad")
    (folder / "10x").mkdir()
    mtx = "%%MatrixMarket matrix coordinate integer general\n%\n4 4 4\n1 1 3\n2 2 1\n3 3 4\n4 4 1\n"
    parts = {"matrix.mtx": mtx, "barcodes.tsv": "AAAC-1\nAAAG-1\nAAAT-1\nAACC-1\n"}
    parts["features.tsv"] = "".join(f"ENSG{n}\tG{n}\tGene Expression\n" for n in range(4))
    for name, text in parts.items():
        (folder / f"10x/{name}.gz").write_bytes(gzip.compress(text.encode()))
    with h5py.File(folder / "10x.h5", "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(counts, name).astype(int)
        group["shape"] = [4, 4]
        group["barcodes"] = ["AAAC-1", "AAAG-1", "AAAT-1", "AACC-1"]
        for name, values in {"id": "ENSG", "name": "G"}.items():
            group[f"features/{name}"] = [f"{values}{n}" for n in range(4)]
        group["features/feature_type"] = ["Gene Expression"] * 4
    (folder / "genome.fa").write_text(">chr1\nACGT\n")
    line = 'chr1\tt\texon\t1\t4\t.\t+\t.\tgene_id "G1"; transcript_id "T1";\n'
    (folder / "genes.gtf").write_text(line)
    (folder / "published.tsv").write_text(
        "level\tname\tcells\tsource\treference\nrun\tr1\t4\ta\tb\n"
    )
    for mate in (1, 2):
        (folder / f"reads_{mate}.fastq").write_text("@r\nACGT\n+\nIIII\n")
    (folder / "reads.sra").write_bytes(b"NCBI.sra" + bytes(100))


def given(config=None, of=None, text=None) -> Callable[[], None]:
    """Write a configuration, and rows or the text of a sheet."""

    def change():
        if config is not None:
            Path(CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        if of is not None or text is not None:
            Path(SHEET).write_text(sheet(of) if text is None else text, encoding="utf-8")

    return change


def put(path: str, data: bytes | str) -> Callable[[], None]:
    """Write a file in place of what is there."""
    data = data.encode() if isinstance(data, str) else data

    def change():
        Path(path).unlink(missing_ok=True)
        Path(path).write_bytes(data)

    return change


def both(*changes) -> Callable[[], None]:
    """One change after the other."""
    return lambda: [change() for change in changes]


def setting(path: tuple, value, start: dict | None = None) -> dict:
    """A configuration with a value, by the path of its key."""
    config = deepcopy(start or base())
    inner = config
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = value
    return config


# What a path may be in place of a file, and the words of the message.
def make_socket(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)


ODD_FILES = {
    "folder": (os.mkdir, "is a folder, not a file [not-a-file]"),
    "pipe": (os.mkfifo, "is a pipe (FIFO), not a file [not-a-file]"),
    "socket": (make_socket, "[not-a-file]"),
    "endless device": (lambda path: os.symlink("/dev/zero", path), "[not-a-file]"),
    "terminal": (lambda path: os.symlink("/dev/tty", path), "[not-a-file]"),
    "link to itself": (
        lambda path: os.symlink(os.path.basename(path), path),
        "[circular-link]",
    ),
    "link to nothing": (
        lambda path: os.symlink("nowhere", path),
        "'nowhere', which does not exist [broken-link]",
    ),
    "nothing": (lambda path: None, "does not exist [missing-file]"),
}
ODD_NAMES = {
    "long name": ("n" * 300, "[path-too-long]"),
    "long path": ("d/" * 2500 + "x", "[path-too-long]"),
    "below a file": ("genome.fa/x", "does not exist [missing-file]"),
}


def odd(path: str, make: Callable) -> Callable[[], None]:
    """Put something else in the place of a file."""

    def change():
        Path(path).unlink(missing_ok=True)
        make(path)

    return change


# Keys that name a file, with a file that they can name.
PATHS = {
    ("samples",): SHEET,
    ("chemistries",): "config/chemistries.tsv",
    ("published_cells",): "published.tsv",
    ("cells", "gene_sets"): "config/gene_sets.tsv",
    ("annotation", "markers"): "config/markers.tsv",
    ("annotation", "celltypist_model"): "model.pkl",
    ("reference", "fasta"): "genome.fa",
    ("reference", "gtf"): "genes.gtf",
}
TABLES = [key for key in PATHS if key[-1] not in ("celltypist_model", "fasta", "gtf")]


def naming(key: tuple, path: str) -> dict:
    """A configuration with the path of a file."""
    reference = {"reference": {"fasta": "genome.fa", "gtf": "genes.gtf"}}
    return setting(key, path, base() | (reference if key[0] == "reference" else {}))


@kind
def studies():
    for name, (config, text, parts) in CASES.items():
        yield Case(name, given(config, text=text), tuple(parts))


@kind
def files_of_the_configuration():
    for key, path in PATHS.items():
        for name, (make, words) in ODD_FILES.items():
            change = both(given(naming(key, path)), odd(path, make))
            yield Case(f"{'.'.join(key)} is a {name}", change, (path, words))
        for name, (path, words) in ODD_NAMES.items():
            yield Case(f"{'.'.join(key)}: {name}", given(naming(key, path)), (words,))
        for sign in ("\0", "\x1b[2J", "\ud800"):
            change = given(naming(key, f"a{sign}b"))
            parts = (CONFIG, ".".join(key), "[control-character]")
            yield Case(f"{'.'.join(key)} with {sign!r}", change, parts)
    for key in (("resources",),):
        for name in ("pipe", "socket", "endless device", "link to itself", "link to nothing"):
            make, _ = ODD_FILES[name]
            change = both(given(naming(key, "shared")), odd("shared", make))
            yield Case(f"resources is a {name}", change, ("'resources'", "[not-a-folder]"))
        yield Case("resources: long name", given(naming(key, "n" * 300)), ("[path-too-long]",))


@kind
def files_of_the_sheet():
    sources = {
        "matrix": ("m.h5ad", {}),
        "sra": ("r.sra", {"matrix": ""}),
        "fastq_2": ("r_2.fastq", {"matrix": "", "fastq_1": "reads_1.fastq"}),
    }
    for column, (path, changes) in sources.items():
        for name, (make, words) in ODD_FILES.items():
            words = "[missing-matrix]" if (name, column) == ("folder", "matrix") else words
            of = rows(**changes | {column: path})
            yield Case(
                f"{column} is a {name}",
                both(given(None, of), odd(path, make)),
                (f"{SHEET}, row 2", path, words),
            )
        for name, (long, words) in ODD_NAMES.items():
            of = rows(**changes | {column: f"{long}.sra"})
            yield Case(f"{column}: {name}", given(None, of), (f"{SHEET}, row 2", words))
    for file in ("matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"):
        for name, (make, words) in ODD_FILES.items():
            words = {"nothing": "[missing-file]"}.get(name, words)
            change = both(given(None, rows(matrix="10x")), odd(f"10x/{file}", make))
            yield Case(f"10x/{file} is a {name}", change, (f"{SHEET}, row 2", "10x", words))
    for name in ("pipe", "endless device", "folder", "nothing"):
        make, words = ODD_FILES[name]
        of = rows(run="", sample="", split="part")
        words = "[missing-matrix]" if name == "folder" else words
        change = both(given(None, of), odd("m1.h5ad", make))
        yield Case(f"split of a {name}", change, (f"{SHEET}, row 2", "m1.h5ad", words))
        make, words = ODD_FILES[name]
        table = (
            Path(ROOT / "config/chemistries.tsv")
            .read_text(encoding="utf-8")
            .replace("10x_version2_", "./own_")
        )
        change = both(put("config/chemistries.tsv", table), odd("own_whitelist.txt.gz", make))
        parts = ("config/chemistries.tsv, row", "'whitelist'", words.partition("[")[0].strip())
        yield Case(f"list of barcodes is a {name}", change, parts)


@kind
def bytes_of_tables():
    """What is not the text of a table, in place of each of them."""
    contents = {
        "UTF-16": ("a\tb\n".encode("utf-16"), "is UTF-16 text, not a text file [not-text-file]"),
        "UTF-16 without a mark": ("a\tb\n".encode("utf-16-le"), "is UTF-16 text, not a text file"),
        "big-endian UTF-16": ("\ufeffa\tb\n".encode("utf-16-be"), "is UTF-16 text"),
        "old spreadsheet": (b"\xd0\xcf\x11\xe0" + bytes(50), "is a spreadsheet of an old Excel"),
        "latin-1": (b"a\tb\nx\t\xe9\n", "row 2: is not UTF-8"),
        "NUL": (b"a\tb\n\nx\t\0\n", "row 3: has a NUL character"),
        "gzipped": (gzip.compress(b"a\tb\n"), "is a gzipped file, not a text file [not-text-file]"),
        "spreadsheet": (b"PK\x03\x04" + bytes(50), "is a spreadsheet"),
        "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "row 1: is not UTF-8"),
        "zeros": (bytes(500), "row 1: has a NUL character"),
        "nothing": (b"", ""),
        "blank lines": (b"\n \n\t\n", ""),
        "comments": (b"# a\n# b\n", ""),
        "BOM alone": (b"\xef\xbb\xbf", ""),
        "one word": (b"word\n", ""),
        "commas": (b"run,sample,matrix\nr1,s1,m1.h5ad\n", ""),
        "a page": (b"<!DOCTYPE html>\n<html><body>Log in</body></html>\n", ""),
    }
    for key in TABLES:
        path = PATHS[key]
        for name, (data, words) in contents.items():
            change = both(given(naming(key, path)), put(path, data))
            yield Case(f"{path}: {name}", change, (path, words))

        def enlarge(path=path):
            os.truncate(path, LARGE)

        change = both(given(naming(key, path)), enlarge)
        yield Case(f"{path}: huge", change, (path, "64 MB", "[file-too-large]"))
    for path, name in (("genome.fa", "fasta"), ("genes.gtf", "gtf")):
        for what, data in {
            "nothing": b"",
            "zeros": bytes(5000),
            "cut gzip": gzip.compress(b">chr1\nACGT\n" * 500)[:-20],
            "text": b"no\n",
            "a page": b"<!DOCTYPE html>\n",
            "a matrix": b"%%MatrixMarket\n",
        }.items():
            change = both(given(naming(("reference", name), path)), put(path, data))
            yield Case(f"{path}: {what}", change, (path,))


@kind
def rows_of_the_sheet():
    valid = sheet(rows())
    first = valid.splitlines()[1]
    texts = {
        "header twice": (valid.splitlines()[0] + "\n" + valid, ("row 2",)),
        "ragged": (valid + "r9\ts9\n", ("row 6", "has 2 columns", "[row-length]")),
        "too many cells": (
            valid.replace(first, first + "\tx\ty"),
            ("row 2", "has 15 columns", "[row-length]"),
        ),
        "a value behind the last name": (
            valid.replace("\n", "\t\n").replace(first + "\t", first + "\tx"),
            ("row 1", "column 14", "[unnamed-column]"),
        ),
        "spaces for tabs": (valid.replace("\t", "  "), ("row 1", "[not-tab-separated]")),
        "semicolons for tabs": (
            valid.replace("\t", ";"),
            ("row 1", "are separated by semicolons [not-tab-separated]", "Text (Tab delimited)"),
        ),
        "commas for tabs": (
            valid.replace("\t", ","),
            ("row 1", "are separated by commas [not-tab-separated]"),
        ),
        "header only": (valid.splitlines()[0] + "\n", ("[empty-table]",)),
        "header as a comment": ("#" + valid, ("row 2", "column 3", "[unnamed-column]")),
        "a row twice": (valid + first + "\n", ("row 6", "'r1'", "[duplicated-name]")),
        "only line ends of old Macs, and no tab": (
            "run,sample\rr1,s1\r",
            ("row 1", "[not-tab-separated]"),
        ),
        "merge conflict": ("<<<<<<< HEAD\n" + valid, ("row 1",)),
        "unclosed quote": (
            valid.replace("r1\t", '"r1\t', 1),
            ("row 2", """the quote of '"r1'""", "[unmatched-quote]"),
        ),
        "text behind a quote": (
            valid.replace("r1\t", '"r1"x\t', 1),
            ("row 2", """'"r1"x'""", "[unmatched-quote]"),
        ),
        "line break in quotes": (
            valid.replace("\tcase", '\t"ca\nse"', 1),
            ("row 2", """'"ca'""", "[unmatched-quote]"),
        ),
        "tab in quotes": (
            valid.replace("r1\t", '"r\t1"\t', 1),
            ("row 2", """'"r'""", "[unmatched-quote]"),
        ),
    }
    for name, (text, parts) in texts.items():
        yield Case(name, given(text=text), (SHEET, *parts))
    for name, column in {
        "Cyrillic letter": "s\u0430mple",
        "full-width letters": "\uff52\uff55\uff4e",
        "zero width": "run\u200b",
        "soft hyphen": "sam\u00adple",
    }.items():
        old = "run" if "run" in column or "\uff52" in column else "sample"
        change = given(text=valid.replace(old, column, 1))
        yield Case(f"header: {name}", change, (f"{SHEET}, row 1", "[invalid-name]"))
    names = {
        "space": "a b",
        "slash": "a/b",
        "dots": "..",
        "leading dash": "-a",
        "leading dot": ".a",
        "shell": "$(id)",
        "backtick": "`id`",
        "semicolon": "a;b",
        "newline by escape": "a\\nb",
        "wildcard": "{run}",
        "angle": "<results>",
        "star": "*",
        "quote": 'a"b',
        "umlaut": "ä",
        "Cyrillic": "r\u0430",
        "zero width": "r\u200b1",
        "right to left": "r\u202e1",
        "escape": "r\x1b[31m",
        "percent": "%s",
        "long": "r" * 101,
        "very long": "r" * 100_000,
    }
    for column in ("run", "sample"):
        for name, value in names.items():
            parts = (f"{SHEET}, row 2", f"column '{column}'")
            yield Case(f"{column}: {name}", given(None, rows(**{column: value})), parts)
    values = {
        "spots": [
            "-1",
            "1.5",
            "1e6",
            "many",
            "1,000",
            "9" * 5000,
            "\u0663",
            "0x10",
            "1 000",
            "NaN",
        ],
        "barcodes": ["both", "RAW", "raw ,", "1"],
        "sra": ["GSM123", "SRR", "SRR12x", "srr1", "SRR1,SRR2", "SRR" + "1" * 5000, "SRR1 SRR2"],
        "chemistry": ["10x", "10XV2", "v3", "auto,10xv2", "10xv2\u200b"],
        "subset": ["part", "=0", "part=", "part=9", "nothing=0", "part = 0"],
        "layer": ["counts", "X/data", "../X", "\u200b"],
        "split": ["nothing", "_index"],
        "condition": ["ca\u200bse", "case\u00ad", "c\x7fase", "case\x00"],
    }
    for column, several in values.items():
        for value in several:
            changes = {column: value}
            if column in ("sra", "chemistry"):
                changes = {"sra": "SRR1", "matrix": ""} | changes
            if column == "split":
                changes |= {"run": "", "sample": ""}
            parts = (f"{SHEET}, row 2",)
            yield Case(f"{column} {value[:20]!r}", given(None, rows(**changes)), parts)
    for value in ("case", "\uff43ase", "ca\u017fe", "cas\u00e9"):
        if value == "case":
            continue
        twin = {"cas\u00e9": "case\u0301"}.get(value, "case")
        of = rows(condition=value)
        of[1]["condition"] = twin
        of += [
            row | {"run": f"r{n}", "sample": f"s{n}", "matrix": f"m{n}.h5ad"}
            for n, row in ((5, of[1]), (6, of[1]))
        ]
        config = setting(("contrasts", "c", "case"), twin)
        change = both(
            given(config, of), *(lambda n=n: shutil.copy("m1.h5ad", f"m{n}.h5ad") for n in (5, 6))
        )
        yield Case(
            f"levels {ascii(value)} and {ascii(twin)}", change, ("contrast 'c'", "[similar-levels]")
        )


def properties(schema: dict, path: tuple = ()) -> Iterator[tuple[tuple, dict]]:
    """Keys of the configuration with their parts of the schema."""
    for key, part in schema.get("properties", {}).items():
        if "$ref" in part:
            part = SCHEMA["$defs"]["limit"] | part
        yield (*path, key), part
        yield from properties(part, (*path, key))


VALUES = {
    "string": "x",
    "integer": 7,
    "number": 1.5,
    "boolean": True,
    "null": None,
    "array": ["x", 1],
    "object": {"x": {"y": 1}},
    "date": yaml.safe_load("2024-01-31"),
    "bytes": b"\x00\xff",
}


def allows(part: dict) -> set[str]:
    """Types that a key may have."""
    if "enum" in part:
        return set()
    types = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return {*types} | ({"integer"} if "number" in types else set())


@kind
def keys_of_the_configuration():
    for path, part in properties(SCHEMA):
        key = ".".join(path)
        where = (CONFIG, key)
        for name in VALUES.keys() - allows(part):
            yield Case(f"{key}: {name}", given(setting(path, VALUES[name])), where)
        if "object" in allows(part) and "$ref" not in part and path != ("contrasts",):
            # Names are a user's own where the schema lists none.
            if part.get("additionalProperties") is False:
                change = given(setting((*path, "unheard_of"), 1))
                yield Case(
                    f"{key}: unknown key", change, (CONFIG, f"'{key}.unheard_of' [unknown-key]")
                )
            yield Case(
                f"{key}: number as a key", given(setting((*path, 5), 1)), (CONFIG, f"{key}.5")
            )
        if allows(part) & {"number", "integer"}:
            odd_numbers = [float("nan"), float("inf"), float("-inf"), -(2**70), 2**20000]
            odd_numbers += [part["minimum"] - 1] if "minimum" in part else []
            odd_numbers += [part["maximum"] + 1] if "maximum" in part else []
            odd_numbers += [part["exclusiveMinimum"]] if "exclusiveMinimum" in part else []
            for value in odd_numbers:
                text = hex(value) if isinstance(value, int) and value > 2**1000 else value
                if isinstance(text, str):
                    lines = yaml.safe_dump(setting(path, "HERE")).replace("HERE", text)
                    change = put(CONFIG, lines)
                else:
                    change = given(setting(path, value))
                yield Case(f"{key}: {str(text)[:20]}", change, where)
        if "string" in allows(part):
            for value in ("", "a\0b", "a\ud800b"):
                if value or part.get("minLength"):
                    yield Case(f"{key}: {value!r}", given(setting(path, value)), where)
        inner = "{" + f"{path[-1]}: 1, {path[-1]}: 2" + "}"
        for name in reversed(path[:-1]):
            inner = f"{{{name}: {inner}}}"
        change = put(CONFIG, inner)
        parts = (f"{CONFIG}, row 1: key '{key}'", "first in row 1 [duplicated-key]")
        yield Case(f"{key} twice", change, parts)
    for name in ("a b", "a/b", "../a", "", "-a", "{x}", "a\n", "é", "n" * 101, "x" * 9000):
        yield Case(f"study {name[:9]!r}", given(base() | {"study": name}), (CONFIG, "'study'"))
        config = base() | {"contrasts": {name: base()["contrasts"]["c"]}}
        yield Case(f"contrast {name[:9]!r}", given(config), (CONFIG, "contrasts"))
    for side in ("column", "case", "control"):
        config = base()
        del config["contrasts"]["c"][side]
        yield Case(
            f"contrast without {side}",
            given(config),
            (CONFIG, f"'{side}' is missing [missing-key]"),
        )
    for name in ("study", "samples"):
        config = {key: value for key, value in base().items() if key != name}
        yield Case(f"no {name}", given(config), (CONFIG, f"'{name}' is missing [missing-key]"))
    sexes = sheet(rows()).replace("condition\n", "condition\tsex\tage\n", 1)
    for age, words in {
        "61,5": "Write it with a point in samples.tsv: 61.5.",
        "61 years": "without a unit",
        "": "has no value for covariate 'age' [empty-value]",
        "nan": "'nan' for 'age', which is not a number [not-a-number]",
        "1_0": "'1_0' for 'age'",
        "\u0665": "'\u0665' for 'age'",
    }.items():
        ages = iter(["30", "40", age, "50"])
        lines = [f"{line}\tf\t{next(ages)}" for line in sexes.splitlines()[1:]]
        text = "\n".join([sexes.splitlines()[0], *lines, ""])
        config = setting(("contrasts", "c", "numeric_covariates"), ["age"])
        yield Case(f"age {age!r}", given(config, text=text), (CONFIG, "'c'", "'s3'", words))
    for covariates in (["condition"], ["nothing"], ["sex", "sex"], "sex", [1], [[]], [None], {}):
        config = setting(("contrasts", "c", "covariates"), covariates)
        yield Case(f"covariates {covariates}", given(config), (CONFIG, "c"))
    for sample in ("s9", "S1", "", "s1 "):
        config = base() | {"cells": {"samples": {sample: {"min_counts": 5}}}}
        yield Case(f"limits of sample {sample!r}", given(config), (CONFIG, "cells.samples"))
    for limit in (
        {},
        {"deviations": None},
        {"floor": 9, "ceiling": 1},
        {"deviations": 0},
        {"x": 1},
    ):
        config = base() | {"cells": {"max_genes": limit}}
        yield Case(f"limit {limit}", given(config), (CONFIG, "cells.max_genes"))


@kind
def text_of_the_configuration():
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    texts = {
        "empty": ("", "[empty-file]"),
        "comment": ("# study: a\n", "[empty-file]"),
        "null": ("null\n", "row 1: holds a single value, not keys [not-keys]"),
        "text": ("study\n", "row 1: holds a single value, not keys [not-keys]"),
        "list": ("- study: a\n- samples: b\n", "row 1: holds a list, not keys [not-keys]"),
        "two documents": ("study: a\n---\nstudy: b\n", "row 2"),
        "tab": (
            "study: a\ncontrasts:\n\tc: 1\n",
            "row 3: is indented with a tab [indented-with-tab]",
        ),
        "bad indentation": ("study: a\n  samples: b\n", "row 2"),
        "dedent": ("a:\n    b: 1\n  c: 2\n", "row 3"),
        "no space behind a colon": ("study:a\nsamples:b\n", "row 1"),
        "unclosed list": ("study: [a, b\nsamples: c\n", "row 2"),
        "unclosed map": ("study: {a: b\n", "row 2"),
        "unclosed quote": ("study: 'a\nsamples: b\n", "row 3"),
        "two colons": ("study: a: b\n", "row 1"),
        "bad escape": ('study: "\\q"\n', "row 1"),
        "unknown alias": ("study: *x\n", "row 1"),
        "alias of itself": (
            "a: &a [*a]\n",
            "row 1: key 'a.0': the alias refers to itself [circular-alias]",
        ),
        "alias of itself in a map": ("a: &a {b: {c: *a}}\n", "row 1: key 'a.b.c'"),
        "aliases without end": (laughs, "200,000 values [too-many-values]"),
        "deep lists": ("a: " + "[" * 5000, "[nested-too-deeply]"),
        "deep maps": ("a: " + "{a: " * 90 + "1" + "}" * 90, "[nested-too-deeply]"),
        "tag of Python": ("study: !!python/object/apply:os.getpid []\n", "row 1"),
        "own tag": ("study: !mine a\n", "row 1"),
        "no date": ("study: 2024-13-45\n", "row 1: key 'study'"),
        "long number": (f"seed: {'9' * 5000}\n", "row 1: key 'seed'"),
        "template": ("__use_yte__: true\nstudy: ?1/0\n", "row 1: key '__use_yte__'"),
        "template's definitions": (
            "__definitions__: [import os]\n",
            "row 1: key '__definitions__'",
        ),
        "list as a key": ("? [a, b]\n: c\n", "row 1"),
        "map as a key": ("{a: b}: c\n", "row 1"),
        "control character": ("study: a\x01\n", "row 1: has the character"),
        "NUL": ("study: a\nsamples: \0\n", "row 2: has a NUL character"),
        "cut JSON": ('{"study": "a", "samples"', "row 1"),
        "JSON with a key twice": ('{\n\t"study": "a",\n\t"study": "b"\n}', "row 3: key 'study'"),
        "merge conflict": ("<<<<<<< HEAD\nstudy: a\n=======\nstudy: b\n>>>>>>> x\n", "row 2"),
        "Windows path": ('samples: "C:\\Users\\x"\n', "row 1"),
        "the sides of a contrast twice": (
            "study: a\nsamples: b\ncontrasts:\n  c:\n    case: x\n    control: y\n    case: y\n",
            "row 7: key 'contrasts.c.case': the key appears twice, first in row 5 [duplicated-key]",
        ),
        "a contrast twice": ("contrasts:\n  c: {}\n  c: {}\n", "row 3: key 'contrasts.c'"),
        "a key twice, once in quotes": ("seed: 1\n'seed': 2\n", "row 2: key 'seed'"),
        "true twice": ("yes: 1\ntrue: 2\n", "row 2: key 'True'"),
        "merge key of text": ("a: {<<: text}\n", "row 1"),
        "a page": ("<!DOCTYPE html>\n<html></html>\n", "row 1"),
        "sheet": (sheet(rows()), "row 1"),
    }
    for name, (text, words) in texts.items():
        yield Case(name, put(CONFIG, text), (CONFIG, words))
    contents = {
        "latin-1": (b"study: a\n# \xe9\n", "row 2: is not UTF-8"),
        "UTF-16": (
            "study: a\n".encode("utf-16"),
            "is UTF-16 text, not a text file [not-text-file]",
        ),
        "gzipped": (
            gzip.compress(b"study: a\n"),
            "is a gzipped file, not a text file [not-text-file]",
        ),
        "zeros": (bytes(100), "row 1: has a NUL character"),
        "huge": (b"# x\n" * (1 << 19), "[file-too-large]"),
    }
    for name, (data, words) in contents.items():
        yield Case(name, put(CONFIG, data), (CONFIG, words))
    for name, (make, words) in ODD_FILES.items():
        yield Case(f"is a {name}", odd(CONFIG, make), (CONFIG, words))


@kind
def rows_of_tables():
    for path in ("markers", "gene_sets"):
        file = f"config/{path}.tsv"
        text = (ROOT / file).read_text()
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        header, row = lines[0].split("\t"), lines[1].split("\t")
        gene = header.index("gene_name")
        changes = {
            "short row": row[:-1],
            "long row": [*row, "x"],
            "single quote": [*row[:gene], '"' + row[gene], *row[gene + 1 :]],
            "comment within": [*row[:-1], row[-1] + " # x"],
            "no gene": [
                "" if name in ("gene_name", "gene_id") else cell
                for name, cell in zip(header, row, strict=True)
            ],
        }
        if path == "gene_sets":
            changes["unknown set"] = ["mitochondria", *row[1:]]
        for name, cells in changes.items():
            data = "\n".join(["# x", lines[0], "\t".join(row), "\t".join(cells)]) + "\n"
            yield Case(f"{path}: {name}", put(file, data), (f"{file}, row 4",))
        for column in {"markers": ("cell_type", "lineage", "gene_name")}.get(path, header):
            change = put(file, text.replace(column, column.upper(), 1))
            yield Case(
                f"{path} without {column}", change, (file, f"no column '{column}' [missing-column]")
            )
        change = put(file, text.replace(lines[0], f"{lines[0]}\t{header[0]}"))
        yield Case(f"{path}: column twice", change, (file, "[duplicated-column]"))
        yield Case(f"{path}: header alone", put(file, lines[0] + "\n"), (file, "[empty-table]"))
    head = "level\tname\tcells\tsource\treference\n"
    published = {
        "lane\tr1\t12\ta\tb": "level 'lane' is not known [invalid-value]",
        "run\tr9\t12\ta\tb": "'r9' is not in the sample sheet [unknown-name]",
        "run\tr1\t-1\ta\tb": "'-1'",
        "run\tr1\t1.5\ta\tb": "'1.5'",
        "run\tr1\t\u0663\ta\tb": "cells",
        f"run\tr1\t{'9' * 5000}\ta\tb": "cells",
        f"run\tr1\t{'x' * 200_000}\ta\tb": "cells",
        "run\tr1\t5\t\tb": "source is empty [empty-value]",
        "run\tr1\t5": "has 3 columns, the header has 5 [row-length]",
        "run\tr1\t5\ta\tb\tc": "[row-length]",
        "run\tr1\t4\ta\tb\nrun\tr1\t5\ta\tb": "[duplicated-row]",
    }
    config = base() | {"published_cells": "published.tsv"}
    for row, words in published.items():
        change = both(given(config), put("published.tsv", f"{head}{row}\n"))
        yield Case(f"published {row[:20]!r}", change, ("published.tsv, row ", words))
    file = "config/chemistries.tsv"
    lines = [line for line in (ROOT / file).read_text().splitlines() if line[:1] != "#"]
    header = lines[0].split("\t")
    row = dict(
        zip(header, next(r for r in lines if r.startswith("10xv2\t")).split("\t"), strict=True)
    )
    bad = {
        "chemistry": ["", "a b", "auto", "../a"],
        "barcode": ["", "16", "0-16", "16-1", "1-16,10-20", "1-99", "a-b", "1-" + "9" * 5000],
        "umi": ["", "17", "10-20", "17-99", "17-20,21-26", "1-16"],
        "umi_read": ["", "cdna", "Barcode"],
        "strand": ["", "+", "forward"],
        "whitelist": ["", "no.txt", "a,b", "config", "n" * 300],
    }
    for column, several in bad.items():
        for value in several:
            text = "\n".join([lines[0], "\t".join((row | {column: value}).values())]) + "\n"
            yield Case(f"{column} {value[:20]!r}", put(file, text), (f"{file}, row 2",))
    for column in header:
        text = "\n".join(lines).replace(column, column.upper(), 1)
        yield Case(f"chemistries without {column}", put(file, text), (file, column))
    text = "\n".join([*lines, lines[1]]) + "\n"
    yield Case("a chemistry twice", put(file, text), (f"{file}, row {len(lines) + 1}", "twice"))


def edit(path: str, change: Callable) -> Callable[[], None]:
    """Change an HDF5 file."""

    def call():
        with h5py.File(path, "a") as file:
            change(file)

    return call


def replace_with(place: str, value) -> Callable:
    """Put a value, a group ({}) or a link in a place of an HDF5 file."""

    def change(file):
        del file[place]
        if value == {}:
            file.create_group(place)
        elif value is not None:
            file[place] = value

    return change


def without(place: str, name: str) -> Callable:
    """Remove an attribute."""
    return lambda file: file[place].attrs.__delitem__(name)


def with_attribute(place: str, name: str, value) -> Callable:
    """Set an attribute."""
    return lambda file: file[place].attrs.__setitem__(name, value)


def no_index(table: str) -> Callable:
    """Remove an index, and the attribute that names it."""

    def change(file):
        del file[table].attrs["_index"], file[f"{table}/_index"]

    return change


def outside(file) -> None:
    """Values in a file beside it."""
    data = file["X/data"][:].astype("<f4")
    Path("values.bin").write_bytes(data.tobytes())
    del file["X/data"]
    file.create_dataset("X/data", data.shape, "<f4", external=[("values.bin", 0, data.nbytes)])


def virtual(file) -> None:
    """Values of another file, as a virtual dataset."""
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("m2.h5ad", "X/data", shape=(4,))
    del file["X/data"]
    file.create_virtual_dataset("X/data", layout)


def circle(file) -> None:
    """Links that lead to each other."""
    del file["X"]
    file["X"] = h5py.SoftLink("/other")
    file["other"] = h5py.SoftLink("/X")


@kind
def structure_of_h5ad():
    link = h5py.ExternalLink("m2.h5ad", "/X")
    table = h5py.ExternalLink("m2.h5ad", "/obs")
    password = h5py.ExternalLink("/etc/passwd", "/")
    changes = {
        "no X": (replace_with("X", None), "has no X [missing-layer]"),
        "no obs": (replace_with("obs", None), "[unsupported-format]"),
        "no var": (replace_with("var", None), "[unsupported-format]"),
        "no index": (no_index("obs"), "obs has no index"),
        "no index of genes": (no_index("var"), "var has no index"),
        "index of no column": (with_attribute("obs", "_index", "x"), "obs has no index"),
        "index of no column, in bytes": (
            with_attribute("obs", "_index", np.bytes_("x")),
            "no index",
        ),
        "index of a number": (with_attribute("obs", "_index", 5), "m1.h5ad"),
        "index in a circle": (replace_with("obs/_index", h5py.SoftLink("/obs/_index")), "m1.h5ad"),
        "index a group": (replace_with("obs/_index", {}), "m1.h5ad"),
        "no shape": (without("X", "shape"), "X has no shape"),
        "odd shape": (with_attribute("X", "shape", "x"), "m1.h5ad"),
        "shape of one": (with_attribute("X", "shape", [4]), "X is not a table"),
        "shape of three": (with_attribute("X", "shape", [4, 4, 4]), "X is not a table"),
        "negative shape": (with_attribute("X", "shape", [-4, 4]), "X is not a table"),
        "larger shape": (with_attribute("X", "shape", [5, 4]), "obs names 4"),
        "endless shape": (with_attribute("X", "shape", [2**62, 2**62]), "m1.h5ad"),
        "more genes": (with_attribute("X", "shape", [4, 9]), "var names 4"),
        "no data": (replace_with("X/data", None), "X has no 'data'"),
        "no indices": (replace_with("X/indices", None), "X has no 'indices'"),
        "no indptr": (replace_with("X/indptr", None), "X has no 'indptr'"),
        "indices of another length": (replace_with("X/indices", [1, 2]), "[damaged-file]"),
        "indptr of another length": (replace_with("X/indptr", [0, 1]), "[damaged-file]"),
        "data a group": (replace_with("X/data", {}), "m1.h5ad"),
        "X a number": (replace_with("X", 5), "X is not a table"),
        "X a row": (replace_with("X", [1, 2]), "X is not a table"),
        "X an empty group": (replace_with("X", {}), "X has no shape"),
        "obs a number": (replace_with("obs", 5), "m1.h5ad"),
        "links in a circle": (circle, "m1.h5ad"),
        "link to nothing": (replace_with("X", h5py.SoftLink("/no")), "m1.h5ad"),
        "obs linked to itself": (replace_with("obs", h5py.SoftLink("/obs")), "m1.h5ad"),
        "matrix of another file": (replace_with("X", link), "reads another file: 'X'"),
        "table of another file": (replace_with("obs", table), "reads another file: 'obs'"),
        "link beside": (lambda file: file.__setitem__("uns/x", password), "reads another file"),
        "values in another file": (outside, "reads another file: the values of 'X/data'"),
        "virtual values": (virtual, "reads another file: the values of 'X/data'"),
    }
    for name, (change, words) in changes.items():
        yield Case(name, edit("m1.h5ad", change), (f"{SHEET}, row 2", "m1.h5ad", words))
    for name in ("matrix of another file", "values in another file", "no index", "index a group"):
        change, words = changes[name]
        of = rows(run="", sample="", split="part")
        change = both(given(None, of), edit("m1.h5ad", change))
        yield Case(f"split: {name}", change, (f"{SHEET}, row 2", "m1.h5ad"))
        yield Case(
            f"subset: {name}",
            both(given(None, rows(subset="part=0")), edit("m1.h5ad", changes[name][0])),
            (f"{SHEET}, row 2", "m1.h5ad"),
        )


@kind
def structure_of_10x_h5():
    many = [0, 1, 2, 99, 4]
    changes = {
        "no data": (replace_with("matrix/data", None), "no 'data'"),
        "no shape": (replace_with("matrix/shape", None), "no 'shape'"),
        "shape of one": (replace_with("matrix/shape", [4]), "no 'shape'"),
        "endless shape": (replace_with("matrix/shape", [2**62, 4]), "[damaged-file]"),
        "other features": (replace_with("matrix/shape", [5, 4]), "5 features"),
        "more barcodes": (replace_with("matrix/barcodes", list("abcde")), "barcodes 5"),
        "fewer indices": (replace_with("matrix/indices", [1, 2]), "indices 2"),
        "indices outside": (replace_with("matrix/indices", [0, 1, 2, 99]), "outside its rows"),
        "negative indices": (replace_with("matrix/indices", [0, 1, 2, -9]), "outside its rows"),
        "rows that go back": (replace_with("matrix/indptr", many), "outside its rows"),
        "rows that end early": (replace_with("matrix/indptr", [0, 1, 2, 3, -1]), "10x.h5"),
        "text as data": (replace_with("matrix/data", list("abcd")), "10x.h5"),
        "data a group": (replace_with("matrix/data", {}), "no 'data'"),
        "no features": (replace_with("matrix/features", None), "[damaged-file]"),
        "fractions": (replace_with("matrix/data", [0.5, 1, 1, 1]), "[not-counts]"),
        "negative": (replace_with("matrix/data", [-1, 1, 1, 1]), "[not-counts]"),
    }
    for name, (change, words) in changes.items():
        change = both(given(None, rows(matrix="10x.h5")), edit("10x.h5", change))
        yield Case(name, change, (f"{SHEET}, row 2", "10x.h5", words))


@kind
def values_of_matrices():
    """What the first values show before any job."""
    head = "%%MatrixMarket matrix coordinate real general\n"
    for name, text in {
        "fraction": f"{head}4 4 1\n1 1 0.5\n",
        "negative": f"{head}4 4 1\n1 1 -1\n",
        "fraction, and many cells": f"{head}4 {10**17} 1\n1 1 0.5\n",
    }.items():
        data = gzip.compress(text.encode())
        change = both(given(None, rows(matrix="10x")), put("10x/matrix.mtx.gz", data))
        yield Case(f"10x: {name}", change, (f"{SHEET}, row 2", "matrix.mtx.gz", "[not-counts]"))
    for name, value in {"NaN": np.nan, "negative": -1, "half": 0.5}.items():
        for path, place in (("m1.h5ad", "X/data"), ("dense.h5ad", "X")):

            def change(file, place=place, value=value):
                file[place][(0,) * file[place].ndim] = value

            change = both(given(None, rows(matrix=path)), edit(path, change))
            yield Case(f"{path}: {name}", change, (f"{SHEET}, row 2", path, "[not-counts]"))


@kind
def tables_of_genes():
    tables = {
        "numbers": ("1\n2\n3\n4\n", "[numbered-genes]"),
        "UTF-16": ("a\tb\n".encode("utf-16"), "[not-utf8]"),
        "uneven": ("ENSG1 A\nENSG2 B C\nENSG3 D\nENSG4 E\n", "[row-length]"),
    }
    for name, (text, words) in tables.items():
        data = gzip.compress(text if isinstance(text, bytes) else text.encode())
        change = both(given(None, rows(matrix="10x")), put("10x/features.tsv.gz", data))
        yield Case(name, change, (f"{SHEET}, row 2", "features.tsv.gz", words))
    var = "var/_index"
    change = both(given(None, rows()), edit("m1.h5ad", replace_with(var, [0, 1, 2, 3])))
    yield Case("numbers in an .h5ad", change, (f"{SHEET}, row 2", "m1.h5ad", "[numbered-genes]"))


@kind
def bytes_of_matrices():
    formats = {
        "text": b"no\n",
        "zeros": bytes(3000),
        "gzipped": gzip.compress(b"x" * 1000),
        "a page": b"<!DOCTYPE html>\n<html>log in</html>\n",
        "table": b"gene,cell1,cell2\nA,1,2\n",
        "SRA archive": b"NCBI.sra" + bytes(100),
        "magic alone": b"\x89HDF\r\n\x1a\n",
        "nothing": b"",
    }
    for path in ("m1.h5ad", "10x.h5", "10x/matrix.mtx.gz"):
        source = path.partition("/")[0]
        for name, data in formats.items():
            change = both(given(None, rows(matrix=source)), put(path, data))
            yield Case(f"{path}: {name}", change, (f"{SHEET}, row 2", path))
        for share in range(64):

            def cut(path=path, share=share):
                size = os.path.getsize(path)
                os.truncate(path, size * share // 64)

            change = both(given(None, rows(matrix=source)), cut)
            yield Case(f"{path} cut at {share}/64", change, (f"{SHEET}, row 2", path))
    for one, other in (("m1.h5ad", "10x/matrix.mtx.gz"), ("10x/matrix.mtx.gz", "10x.h5")):
        change = lambda one=one, other=other: shutil.copy(other, one)  # noqa: E731
        source = one.partition("/")[0]
        change = both(given(None, rows(matrix=source)), change)
        yield Case(f"{other} as {one}", change, (f"{SHEET}, row 2", one))
    head = "%%MatrixMarket matrix coordinate integer general\n"
    texts = {
        "no sizes": head,
        "two sizes": f"{head}4 4\n",
        "text for sizes": f"{head}four 4 4\n",
        "negative": f"{head}-4 4 4\n",
        "fractions": f"{head}4.5 4 4\n",
        "5,000 digits": f"{head}{'9' * 5000} 4 4\n",
        "more entries than places": f"{head}4 4 17\n",
        "pattern": head.replace("integer", "pattern") + "4 4 1\n1 1\n",
        "complex": head.replace("integer", "complex") + "4 4 1\n1 1 1 1\n",
        "dense": "%%MatrixMarket matrix array integer general\n2 2\n1\n2\n3\n4\n",
        "comments without end": head + "% x\n" * 300_000,
        "no first line": "4 4 4\n1 1 3\n",
    }
    for name, text in texts.items():
        for path in ("10x/matrix.mtx.gz", "10x/matrix.mtx"):
            data = gzip.compress(text.encode(), 1) if path.endswith("gz") else text
            remove = lambda: os.unlink("10x/matrix.mtx.gz")  # noqa: E731
            change = both(given(None, rows(matrix="10x")), remove, put(path, data))
            yield Case(f"{path}: {name}", change, (f"{SHEET}, row 2", path))

    def write_bomb(begin: bytes):
        # 4 GB of one letter, as 1,000 members of 4 MB each.
        member = gzip.compress(b" " * (4 << 20), 9)
        with open("10x/matrix.mtx.gz", "wb") as file:
            file.write(gzip.compress(begin))
            for _ in range(1000):
                file.write(member)

    for name, begin in {"header": b"%%MatrixMarket", "sizes": head.encode()}.items():
        change = both(given(None, rows(matrix="10x")), lambda begin=begin: write_bomb(begin))
        yield Case(f"{name} of 4 GB", change, (f"{SHEET}, row 2", "10x/matrix.mtx.gz"))


@kind
def matrices_that_a_job_reads():
    """Faults of the values; the job must reject them."""
    parts = tuple(f"10x/{name}.gz" for name in ("matrix.mtx", "barcodes.tsv", "features.tsv"))
    for path in parts[1:]:
        for share in range(1, 24):

            def cut(path=path, share=share):
                os.truncate(path, os.path.getsize(path) * share // 24)

            yield Case(f"{path} cut at {share}/24", cut, (path,), parts)
    head = "%%MatrixMarket matrix coordinate integer general\n"
    real = head.replace("integer", "real")
    texts = {
        "fewer entries": f"{head}4 4 4\n1 1 3\n2 2 1\n",
        "more entries": f"{head}4 4 1\n1 1 3\n2 2 1\n",
        "row 0": f"{head}4 4 1\n0 1 3\n",
        "row 5 of 4": f"{head}4 4 1\n5 1 3\n",
        "negative": f"{head}4 4 1\n1 1 -3\n",
        "text": f"{head}4 4 1\n1 1 x\n",
        "NaN": f"{real}4 4 1\n1 1 nan\n",
        "infinite": f"{real}4 4 1\n1 1 inf\n",
        "fraction": f"{real}4 4 1\n1 1 0.5\n",
        "other rows": f"{head}5 4 1\n1 1 3\n",
        "other columns": f"{head}4 5 1\n1 1 3\n",
    }
    for name, text in texts.items():
        change = put(parts[0], gzip.compress(text.encode()))
        yield Case(f"{parts[0]}: {name}", change, (parts[0],), parts)
    for name, value in {"NaN": np.nan, "infinite": np.inf, "negative": -1, "half": 0.5}.items():
        for path, place in (("m1.h5ad", "X/data"), ("dense.h5ad", "X")):

            def change(file, place=place, value=value):
                stored = file[place]
                stored[(0,) * stored.ndim] = value

            yield Case(f"{path}: {name}", edit(path, change), (path,), (path,))
    for name, change in {
        "column beyond the genes": lambda file: file["X/indices"].__setitem__(0, 99),
        "negative column": lambda file: file["X/indices"].__setitem__(0, -1),
        "rows that go back": lambda file: file["X/indptr"].__setitem__(1, 4),
        "text as data": replace_with("X/data", ["a", "b", "c", "d"]),
        "another file": replace_with("X", h5py.ExternalLink("m2.h5ad", "/X")),
    }.items():
        yield Case(f"m1.h5ad: {name}", edit("m1.h5ad", change), ("m1.h5ad",), ("m1.h5ad",))
