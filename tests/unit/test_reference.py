"""Chemistries, their barcodes, and the versions of the tools."""

import csv
import gzip
import re
from importlib.resources import files
from pathlib import Path

import pytest

from extract_whitelist import unpack_whitelist
from latere.chemistry import barcode_read_length, read_chemistry
from latere.errors import StudyError
from starsolo import starsolo_options, to_command
from tool_versions import TOOLS, tool_version

TABLE = Path(__file__).resolve().parents[2] / "config" / "chemistries.tsv"
with open(TABLE, newline="") as handle:
    CHEMISTRIES = [row["chemistry"] for row in csv.DictReader(handle, delimiter="\t")]


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_chemistry_agrees_with_its_list(name):
    chemistry = read_chemistry(TABLE, name)
    source = files("ngs_tools") / "chemistry" / "whitelists" / chemistry["whitelist"]
    with gzip.open(source, "rt") as barcodes:
        assert len(next(barcodes).strip()) == chemistry["barcode_length"]
    assert chemistry["umi_start"] == chemistry["barcode_start"] + chemistry["barcode_length"]
    assert chemistry["strand"] in ("Forward", "Reverse", "Unstranded")


def test_length_of_barcode_reads():
    lengths = [barcode_read_length(read_chemistry(TABLE, name)) for name in ("10xv2", "10xv3")]
    assert lengths == [26, 28]


def test_whitelist_is_unpacked_and_checked(tmp_path):
    packed, plain = tmp_path / "list.txt.gz", tmp_path / "list.txt"
    packed.write_bytes(gzip.compress(b"ACGT\nACGA\n"))
    assert unpack_whitelist(packed, plain, 4) == 2
    assert plain.read_text() == "ACGT\nACGA\n"
    with pytest.raises(StudyError, match="line 1.*'ACGT' does not have 16 bases"):
        unpack_whitelist(packed, plain, 16)


def test_starsolo_command_puts_cdna_first_and_joins_lanes():
    roles = {"cdna": ["a2.gz", "b2.gz"], "barcode": ["a1.gz", "b1.gz"]}
    chemistry = read_chemistry(TABLE, "10xv3")
    command = to_command(starsolo_options(roles, chemistry, "index", "list.txt", "out/x.", 2))
    at = command.index("--readFilesIn")
    assert command[at + 1 : at + 3] == ["a2.gz,b2.gz", "a1.gz,b1.gz"]
    assert command[command.index("--soloUMIlen") + 1] == "12"
    assert command[command.index("--soloCellFilter") + 1] == "EmptyDrops_CR"
    assert command[command.index("--outFileNamePrefix") + 1] == "out/x."


@pytest.mark.parametrize(("env", "name"), [(env, name) for env in TOOLS for name in TOOLS[env]])
def test_every_tool_tells_its_version(env, name):
    assert re.match(r"\d+(\.\d+)*", tool_version(TOOLS[env][name]))
