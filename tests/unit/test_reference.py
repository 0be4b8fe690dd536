"""Chemistries, their barcodes, and the versions of the tools."""

import gzip
import re
from pathlib import Path

import pytest

from extract_whitelist import unpack_whitelist
from latere.errors import StudyError
from latere.reads.chemistry import find_whitelist, read_chemistries
from tool_versions import TOOLS, python_packages, tool_version

ROOT = Path(__file__).resolve().parents[2]
TABLE = read_chemistries(ROOT / "config" / "chemistries.tsv")


@pytest.mark.parametrize("name", TABLE)
def test_chemistry_agrees_with_its_list(name):
    chemistry = TABLE[name]
    ((first, last),) = chemistry.barcode
    with gzip.open(find_whitelist(chemistry.whitelists[0]), "rt") as barcodes:
        assert len(next(barcodes).strip()) == last - first + 1
    assert chemistry.umi[0] == (1 if chemistry.umi_read == "own" else last + 1)


def test_whitelist_is_unpacked_and_checked(tmp_path):
    source, plain = tmp_path / "list.txt.gz", tmp_path / "list.txt"
    for data in (gzip.compress(b"ACGT\nACGA\n"), b"ACGT\r\nACGA"):
        source.write_bytes(data)
        assert unpack_whitelist(source, plain, 4) == 2
        assert plain.read_text() == "ACGT\nACGA\n"
    for data, message in (
        (b"ACGT\nACG\n", r"line 2: 'ACG' .* 4 bases \[not-a-barcode\]"),
        (b"acgt\n", r"line 1: 'acgt' .*\[not-a-barcode\]"),
        (b"ACGT\tTTTT\n", r"line 1: .*\[not-a-barcode\]"),
        (b"", r"\[no-barcodes\]"),
        (gzip.compress(b"ACGT\n" * 9)[:-4], r"\[damaged-file\]"),
    ):
        source.write_bytes(data)
        with pytest.raises(StudyError, match=message):
            unpack_whitelist(source, plain, 4)


@pytest.mark.parametrize(("env", "name"), [(env, name) for env in TOOLS for name in TOOLS[env]])
def test_every_tool_tells_its_version(env, name):
    assert re.match(r"\d+(\.\d+)*", tool_version(TOOLS[env][name]))


def test_the_environment_of_a_branch_names_its_python_packages(caplog):
    packages = ["python", "harmonypy", "pandas", "r-base"]
    assert python_packages(packages) == {"harmonypy": "harmonypy"}
    assert "r-base" in caplog.text
