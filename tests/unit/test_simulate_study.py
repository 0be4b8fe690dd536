"""The embedded study: its truth is what was planted, and its reads carry it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simulate_sra
import simulate_study
from latere.branches import AT_EQUAL_STATE, TOTAL
from latere.errors import StudyError
from latere.job import JobError
from latere.simulation.genome import (
    BASES,
    MT_SHARE,
    read_exons,
    read_fasta,
    reverse_complement,
    simulate_genome,
    write_fasta,
    write_gtf,
)
from latere.simulation.pbmc import load_pbmc
from latere.simulation.reads import build_templates, simulate_reads
from latere.simulation.sequencer import sequence_bases, write_reads
from latere.simulation.streams import generator
from latere.simulation.truth import (
    HEALTHY,
    build_profiles,
    check_effects,
    collect_expected,
    expected_composition,
    expected_expression,
    plant_effects,
)
from latere.truth.tests import true_fold_changes

SETTINGS = {
    "cells_per_run": 40,
    "umis_per_cell": 300,
    "empty_droplets": 50,
    "ambient": 0.04,
    "doublets": 0.1,
    "copies": 1.4,
    "error_rate": 0.003,
    "sample_sd": 0.25,
    "effects": {"disease": "leukemia", "subtype": "A"},
    "de_genes": 30,
}
SAMPLES = {
    name: {"disease": "healthy" if subtype == "healthy" else "leukemia", "subtype": subtype}
    for name, subtype in [
        ("healthy_1", "healthy"),
        ("healthy_2", "healthy"),
        ("A_1", "A"),
        ("B_1", "B"),
    ]
}
RUNS = {"healthy_1a": "healthy_1", "healthy_1b": "healthy_1", "healthy_2": "healthy_2"} | {
    name: name for name in ("A_1", "B_1")
}


@pytest.fixture(scope="module")
def barcodes():
    rng = np.random.default_rng(0)
    return np.unique(["".join(rng.choice(list("ACGT"), 16)) for _ in range(2000)])


@pytest.fixture(scope="module")
def profiles():
    return build_profiles(load_pbmc(), generator(1, "study"))


@pytest.fixture(scope="module")
def study(barcodes):
    return simulate_study.simulate_truth(RUNS, SAMPLES, barcodes, SETTINGS, 1)


@pytest.fixture(scope="module")
def reference(study, tmp_path_factory):
    """Paths of FASTA and GTF."""
    folder = tmp_path_factory.mktemp("reference")
    genes = study[1].var
    chromosomes, exons = simulate_genome(list(genes["gene_name"]), generator(1, "genome"))
    write_fasta(chromosomes, folder / "genome.fa")
    write_gtf(exons, genes.reset_index(), folder / "genes.gtf")
    return folder / "genome.fa", folder / "genes.gtf"


@pytest.fixture(scope="module")
def templates(reference, study):
    chromosomes, exons = map(
        lambda read, path: read(path),
        (read_fasta, read_exons),
        reference,
    )
    return build_templates(chromosomes, exons, list(study[1].var_names), generator(1, "templates"))


def test_profiles_are_shares_of_every_gene(profiles):
    assert list(profiles.index) == [*HEALTHY, "Blast A", "Blast B"]
    np.testing.assert_allclose(profiles.sum(axis=1), 1)
    assert (profiles > 0).all(axis=None)
    assert profiles["CD79A"].idxmax() in {"B cell", "Blast A", "Blast B"}
    assert profiles["NKG7"].idxmax() == "NK cell"


def test_truth_of_any_contrast_is_what_was_planted(profiles):
    effects = SETTINGS["effects"]
    planted = plant_effects(profiles, list(effects), SETTINGS["de_genes"], np.random.default_rng(0))
    names = [*profiles.columns, *MT_SHARE]
    composition = expected_composition(SAMPLES, profiles.index)
    np.testing.assert_allclose(composition.sum(axis=1), 1)
    expected = collect_expected(
        expected_expression(profiles, planted, SAMPLES, effects),
        composition,
        list(SAMPLES),
        list(profiles.index),
        pd.DataFrame({"gene_id": names, "gene_name": names}),
    )
    planted = planted.reindex(columns=names, fill_value=0)
    assert (planted != 0).sum(axis=1).tolist() == 2 * [SETTINGS["de_genes"]]
    # A sample without a truth changes nothing.
    sides = {"case": ["A_1", "foreign"], "control": ["B_1"]}
    truth = true_fold_changes(expected, sides)
    groups = {"all", *HEALTHY}
    assert len(truth) == len(groups) * len(names)
    assert not truth.duplicated(["group", "gene_id"]).any()
    assert np.isfinite(truth[[TOTAL, AT_EQUAL_STATE]]).all(axis=None)
    found = truth[truth["group"] == "T cell"].set_index("gene_id")
    np.testing.assert_allclose(found[TOTAL], planted.loc["subtype"], atol=1e-12)
    # At equal state the change is what was planted, whatever the mixture of the group.
    for _, found in truth.groupby("group"):
        np.testing.assert_allclose(found[AT_EQUAL_STATE], planted.loc["subtype"], atol=1e-8)
    assert set(truth.loc[truth["group"] == "B cell", "one_sided"]) == {"Blast A, Blast B"}
    assert set(truth.loc[truth["group"] == "T cell", "one_sided"]) == {""}
    # Blasts differ in more than what was planted in all cells, and B cells are counted with them.
    blasts = truth[truth["group"] == "B cell"].set_index("gene_id")[TOTAL]
    assert (blasts.abs() > 1e-6).sum() > 2 * SETTINGS["de_genes"]
    mitochondrial = truth["gene_id"].str.startswith("MT-")
    np.testing.assert_allclose(truth.loc[mitochondrial, TOTAL], 0, atol=1e-12)
    # No effect was planted for this contrast by itself: its truth is the sum of two.
    both = true_fold_changes(expected, {"case": ["A_1"], "control": ["healthy_1", "healthy_2"]})
    found = both[both["group"] == "T cell"].set_index("gene_id")[TOTAL]
    np.testing.assert_allclose(found, planted.sum(), atol=1e-12)
    assert true_fold_changes(expected, {"case": ["foreign"], "control": ["B_1"]}).empty


@pytest.mark.parametrize("effect", [{"subtype": "C"}, {"subtyp": "A"}])
def test_an_effect_without_samples_is_told(effect):
    with pytest.raises(StudyError, match=r"\[unknown-level\]"):
        check_effects(effect, SAMPLES)


def test_cells_and_counts_agree(study):
    cells, counts, _ = study
    assert list(counts.obs_names) == list(cells["cell"])
    assert cells["cell"].is_unique
    assert (cells["cell"] == cells["run"] + "_" + cells["barcode"]).all()
    np.testing.assert_array_equal(np.asarray(counts.X.sum(axis=1)).ravel(), cells["n_umis"])
    assert (cells["sample"] == cells["run"].map(RUNS)).all()
    has_blasts = cells["cell_type"].str.startswith("Blast")
    assert set(cells.loc[has_blasts, "sample"]) == {"A_1", "B_1"}
    assert (cells.loc[has_blasts, "lineage"] == "B cell").all()
    assert 0 < cells["doublet"].mean() < 0.2
    assert (cells["doublet"] == (cells["second_type"] != "")).all()
    assert set(cells["second_type"]) - {""} <= set(cells["cell_type"])
    assert set(counts.uns["ambient"]) == set(RUNS)
    mean = cells.groupby("run")["n_ambient"].mean()
    assert mean.to_dict() == pytest.approx(counts.uns["ambient"], rel=0.25)


def test_seeds_and_runs_have_streams_of_their_own(study, barcodes):
    first = study[0]
    again = simulate_study.simulate_truth(RUNS, SAMPLES, barcodes, SETTINGS, 2)[0]
    assert set(first["cell"]) != set(again["cell"])
    # A run's reads may be simulated in any order, on any machine.
    assert generator(1, "reads", "A_1").integers(1e9) == generator(1, "reads", "A_1").integers(1e9)
    assert generator(1, "reads", "A_1").integers(1e9) != generator(1, "reads", "A_2").integers(1e9)


def test_same_seed_same_bytes(barcodes, tmp_path):
    """In processes of their own, as hash seeds and the like differ between jobs."""
    whitelist = tmp_path / "whitelist.txt"
    whitelist.write_text("\n".join(barcodes) + "\n")
    code = """
import json, logging, sys
from types import SimpleNamespace
import simulate_study
simulate_study.start = lambda job: logging.getLogger()
given = json.loads(sys.argv[1])
simulate_study.main(SimpleNamespace(
    input=SimpleNamespace(**given["input"]), output=SimpleNamespace(**given["output"]),
    params=SimpleNamespace(**given["params"]),
))
"""
    files = ["genome.fa", "genes.gtf", "cells.parquet", "counts.h5ad", "expected.h5ad"]
    keys = ["fasta", "gtf", "cells", "counts", "expected"]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        given = {
            "input": {"whitelist": str(whitelist)},
            "output": {
                key: str(tmp_path / name / file) for key, file in zip(keys, files, strict=True)
            },
            "params": {
                "runs": RUNS,
                "samples": SAMPLES,
                "simulation": SETTINGS,
                "seed": 7,
            },
        }
        subprocess.run(
            [sys.executable, "-c", code, json.dumps(given)],
            cwd=Path(simulate_study.__file__).parent,
            check=True,
        )
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (
            tmp_path / "second" / file
        ).read_bytes(), file


def test_genome_reads_back(reference, study):
    chromosomes = read_fasta(reference[0])
    exons = read_exons(reference[1])
    counts = study[1]
    assert set(exons["gene_id"]) == set(counts.var_names)
    mitochondrial = counts.var_names[counts.var["gene_name"].str.startswith("MT-")]
    on_mt = exons.loc[exons["chromosome"] == "chrM", "gene_id"]
    assert set(on_mt) == set(mitochondrial)
    assert len(chromosomes) > 2
    assert set(exons["strand"]) == {"+", "-"}
    spliced = exons.groupby("gene_id").filter(lambda gene: len(gene) > 1)
    assert spliced["gene_id"].nunique() > 100
    for gene_id, gene in list(spliced.groupby("gene_id"))[:20]:
        gene = gene.sort_values("start")
        sequence = chromosomes[gene["chromosome"].iloc[0]]
        intron = sequence[gene["end"].iloc[0] : gene["start"].iloc[1]]
        if gene["strand"].iloc[0] == "-":
            intron = reverse_complement(intron)
        assert intron[:2].tobytes() + intron[-2:].tobytes() == b"GTAG", gene_id


def test_templates_are_the_sense_strand(reference, study, templates):
    sequence, genes, genome, foreign = templates
    chromosomes = read_fasta(reference[0])
    exons = read_exons(reference[1])
    for strand in "+-":
        number = next(
            number
            for number, gene_id in enumerate(study[1].var_names)
            if exons.loc[exons["gene_id"] == gene_id, "strand"].iloc[0] == strand
        )
        gene = exons[exons["gene_id"] == study[1].var_names[number]]
        # The 3' end: the rightmost base of the plus strand, the leftmost of the minus strand.
        chromosome = chromosomes[gene["chromosome"].iloc[0]]
        if strand == "+":
            last = chromosome[gene["end"].max() - 30 : gene["end"].max()]
        else:
            last = reverse_complement(chromosome[gene["start"].min() : gene["start"].min() + 30])
        end = genes["end"].iloc[number]
        assert sequence[end - 30 : end].tobytes() == last.tobytes()
        assert sequence[end : end + 10].tobytes() == b"A" * 10
    assert genome[1] - genome[0] == sum(map(len, chromosomes.values()))
    assert foreign[1] == sequence.size


def test_reads_carry_the_true_molecules(study, barcodes, templates):
    cells, counts, _ = study
    of_run = (cells["run"] == "A_1").to_numpy()
    names = cells.loc[of_run, "barcode"].to_numpy(str)
    chunks = list(
        simulate_reads(
            counts.X[of_run], 12.0, names, barcodes, templates, SETTINGS, np.random.default_rng(0)
        )
    )
    index, tag, cdna = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    assert [index.shape[1], tag.shape[1], cdna.shape[1]] == [8, 26, 91]
    molecules = pd.Series([row.tobytes().decode() for row in np.unique(tag, axis=0)])
    found = molecules.str[:16].value_counts().reindex(names, fill_value=0)
    # Unspliced and genomic molecules come on top, foreign ones have no barcode.
    ratio = found.to_numpy() / cells.loc[of_run, "n_umis"].to_numpy()
    assert 1.0 < ratio.mean() < 1.15
    listed = molecules.str[:16].isin(set(barcodes)).mean()
    assert 0.9 < listed < 0.99
    assert 1.3 < len(tag) / len(molecules) < 1.5


def test_sequencing_errors_and_qualities():
    rng = np.random.default_rng(0)
    true = np.full((20_000, 91), ord("C"), np.uint8)
    seen, qualities = sequence_bases(true, 0.003, rng)
    wrong = seen != true
    assert wrong.mean() == pytest.approx(0.003, rel=0.1)
    assert set(np.unique(seen)) == set(b"ACGT")
    low = qualities == ord(",")
    assert wrong[low].mean() > 10 * wrong[qualities == ord("F")].mean()
    assert low[:, -10:].mean() > low[:, :10].mean()
    assert (true == ord("C")).all()


@pytest.mark.tools("sharq", "general-loader", "kar", "fasterq-dump")
def test_archive_gives_the_reads_back(tmp_path):
    if not all(map(shutil.which, [*simulate_sra.TOOLS, "fasterq-dump"])):
        pytest.skip("no sra-tools with its loaders")
    rng = np.random.default_rng(0)
    true = [BASES[rng.integers(0, 4, (200, length))] for length in (8, 26, 91)]
    paths = [str(tmp_path / f"{name}.fastq") for name in ("I1", "R1", "R2")]
    write_reads([true], paths, 0.003, rng)
    archive = tmp_path / "run_1.sra"
    simulate_sra.pack(*paths, str(archive))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    subprocess.run(
        ["fasterq-dump", "--include-technical", "--split-files", "-O", tmp_path, archive],
        check=True,
    )
    for number, path in enumerate(paths, start=1):
        dumped = (tmp_path / f"run_1_{number}.fastq").read_text().splitlines()
        packed = Path(path).read_text(encoding="utf-8").splitlines()
        assert dumped[1::4] == packed[1::4]
        assert dumped[3::4] == packed[3::4]


def test_missing_loaders_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match="sharq.*sra-toolkit"):
        simulate_sra.find_tools()


def test_missing_schemas_are_named(tmp_path):
    with pytest.raises(JobError, match="schemas"):
        simulate_sra.find_schemas(tmp_path / "bin" / "general-loader")
