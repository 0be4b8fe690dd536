"""The reference of a study: a release by name, or files."""

import re
from pathlib import Path

import pytest
import yaml

from filter_annotation import KEPT, ON_Y, verdict
from latere.errors import StudyError
from latere.reads.annotation import Gene
from latere.study.references import read_releases, resolve
from latere.urls import URL, url_name

CONFIG = Path(__file__).resolve().parents[2] / "config"
RELEASES = read_releases(CONFIG / "references.tsv")
FILES = {"fasta": "genome.fa", "gtf": "genes.gtf"}


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_is_complete(name):
    row = RELEASES[name]
    source, _, number = name.split("-")
    for key, end in {"fasta": ".fa.gz", "gtf": ".gtf.gz"}.items():
        assert URL.match(row[key]) and row[key].endswith(end)
        assert f"/release{'_' if source == 'gencode' else '-'}{number}/" in row[key]
        assert row["assembly"].split(".")[0] in row[key] or key == "gtf"
    assert row["checksums"] == {"gencode": "MD5SUMS", "ensembl": "CHECKSUMS"}[source]
    assert re.fullmatch(r"(\d+-\d+)?", row["y_genes"])


def test_genes_of_y_that_begin_in_a_pseudoautosomal_region_are_not_counted():
    """XGY2 begins in the first one (GRCh38: Y:10,001-2,781,479), SRY lies behind it."""
    humans = [row["y_genes"] for row in RELEASES.values() if row["species"] == "Homo sapiens"]
    for y_genes in humans:
        for start, expected in {2_752_083: ON_Y, 2_786_855: KEPT, 56_887_903: ON_Y}.items():
            assert verdict(Gene("Y", start), {"Y": 57_227_415}, True, y_genes) == expected
    assert len(humans) == 4


def test_no_two_releases_share_a_download():
    files = [url_name(row[key]) for row in RELEASES.values() for key in ("fasta", "gtf")]
    assert len(set(files)) == len(files)
    assert len({Path(file).name for file in files}) < len(files)  # by their last part they would


def test_the_study_as_cloned_names_a_release():
    reference = yaml.safe_load((CONFIG / "config.yaml").read_text())["reference"]
    found = resolve(reference, RELEASES, "config.yaml")
    assert found["filter_biotypes"] is True and found["checksums"] == "MD5SUMS"
    assert found["gtf"].endswith("gencode.v44.primary_assembly.annotation.gtf.gz")


def test_filter_by_default_for_releases_only():
    release = {"release": "ensembl-mouse-110"}
    assert resolve(release, RELEASES, "")["filter_biotypes"] is True
    assert resolve(release | {"filter_biotypes": False}, RELEASES, "")["filter_biotypes"] is False
    assert resolve(FILES, RELEASES, "")["filter_biotypes"] is False
    assert resolve(FILES | {"filter_biotypes": True}, RELEASES, "")["filter_biotypes"] is True


def test_an_unknown_release_is_told_with_those_near_to_it():
    with pytest.raises(StudyError, match="Did you mean gencode-mouse-M33") as refused:
        resolve({"release": "gencode-mouse-33"}, RELEASES, "study.yaml")
    assert all(name in str(refused.value) for name in RELEASES)
