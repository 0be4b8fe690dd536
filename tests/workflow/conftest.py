"""One run of the demo, read by read: where each read came from, and what STAR made of it.

What the tests hold the workflow's counts against. Reads come from the archive, the truth from the
simulation; index, barcode list and the STAR call are the tests' own.
"""

import gzip
import shlex
import subprocess
from importlib.resources import files
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from molecules import RUN, pack, pack_words, triple

import simulate_reads
from latere.simulation import reads as simulated_reads
from latere.simulation import sequencer

BARCODE, CDNA = 16, 91  # bases
# Written out here on purpose, as in tests/real/test_reads.py.
CELLRANGER_SET = shlex.split("""
    --soloType CB_UMI_Simple --soloCBmatchWLtype 1MM_multi_Nbase_pseudocounts
    --soloUMIfiltering MultiGeneUMI_CR --soloUMIdedup 1MM_CR --clipAdapterType CellRanger4
    --outFilterScoreMin 30 --soloCellFilter None --soloFeatures Gene --soloStrand Forward
    --soloBarcodeReadLength 0 --soloCBstart 1 --soloCBlen 16 --soloUMIstart 17 --soloUMIlen 10
    --outSAMtype BAM SortedByCoordinate --outSAMattributes NH HI AS CB UB GX --runThreadN 2
""")


@pytest.fixture(scope="session")
def truth(demo):
    """True molecules, cell x gene, of all runs; `obs`: run, barcode."""
    counts = ad.read_h5ad(demo / "simulated/truth/counts.h5ad")
    cells = pd.read_parquet(demo / "simulated/truth/cells.parquet").set_index("cell")
    counts.obs["barcode"] = cells.loc[counts.obs_names, "barcode"].to_numpy(str)
    return counts


@pytest.fixture(scope="session")
def dumped(demo, tmp_path_factory):
    """FASTQ files of the run's archive: index, barcode, cDNA."""
    folder = tmp_path_factory.mktemp("dumped")
    words = ["--include-technical", "--split-files", "--outdir", folder, "--temp", folder / "tmp"]
    archive = demo / f"simulated/sra/{RUN}.sra"
    subprocess.run(["fasterq-dump", *words, archive], check=True, capture_output=True)
    return sorted(folder.glob("*.fastq"))


@pytest.fixture(scope="session")
def barcode_list(tmp_path_factory):
    """Barcodes of 10x v2, from the package that carries them."""
    path = tmp_path_factory.mktemp("list") / "10xv2.txt"
    packed = files("ngs_tools") / "chemistry/whitelists/10x_version2_whitelist.txt.gz"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return path


@pytest.fixture(scope="session")
def origins(demo, root, truth, barcode_list, tmp_path_factory):
    """Origin of each read of the run, from the simulation run again.

    Returns
    -------
    DataFrame
        By spot: kind and gene (position in `truth`) of its molecule, barcode and UMI of the
        molecule and as they were read, `past` (bases of the cDNA read beyond the end of the
        transcript, in its tail), and the cDNA as it was read.
    """
    folder = tmp_path_factory.mktemp("origins")
    places, bases = [], []
    place_reads, sequence_bases = simulated_reads.place_reads, sequencer.sequence_bases

    def place(kind, gene, genes, *rest):
        starts = place_reads(kind, gene, genes, *rest)
        past = starts + CDNA - genes["end"].to_numpy()[gene]
        places.append(pd.DataFrame({"kind": kind, "gene": gene, "past": past}))
        return starts

    def sequence(true, *rest):
        seen, qualities = sequence_bases(true, *rest)
        bases.append((true, seen))
        return seen, qualities

    settings = yaml.safe_load((root / "config/demo/config.yaml").read_text())
    reference = demo / "simulated/reference"
    job = SimpleNamespace(
        wildcards=SimpleNamespace(run=RUN),
        params=SimpleNamespace(simulation=settings["simulation"], seed=settings["seed"]),
        input=SimpleNamespace(
            whitelist=barcode_list,
            fasta=reference / "genome.fa",
            gtf=reference / "genes.gtf",
            counts=demo / "simulated/truth/counts.h5ad",
        ),
        output=[folder / f"{mate}.fastq" for mate in range(3)],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate_reads, "start", lambda job: None)
        patch.setattr(simulated_reads, "place_reads", place)
        patch.setattr(sequencer, "sequence_bases", sequence)
        simulate_reads.main(job)
    reads = pd.concat(places, ignore_index=True)
    for name, which in (("", 0), ("seen_", 1)):
        tags = np.concatenate([pair[which] for pair in bases[1::3]])
        reads[f"{name}barcode"] = pack(tags[:, :BARCODE])
        reads[f"{name}umi"] = pack(tags[:, BARCODE:])
    seen = np.concatenate([pair[1] for pair in bases[2::3]])
    reads["cdna"] = np.ascontiguousarray(seen).view(f"S{CDNA}").ravel()
    reads["molecule"] = triple(reads["barcode"], reads["umi"], reads["gene"])
    return reads


@pytest.fixture(scope="session")
def traced(demo, truth, origins, dumped, barcode_list, tmp_path_factory):
    """`origins`, and what a direct STAR call made of each read.

    Returns
    -------
    DataFrame
        Besides the columns of `origins`: hits and score of the alignment, found_barcode,
        found_umi and found_gene after STAR's corrections (-1: none), `counted` (the triple that
        the read stands for, -1: none).
    """
    import pysam

    folder = tmp_path_factory.mktemp("traced")
    reference = demo / "simulated/reference"
    words = ["--genomeFastaFiles", reference / "genome.fa", "--genomeDir", folder / "index"]
    words += ["--sjdbGTFfile", reference / "genes.gtf", "--sjdbOverhang", "97"]
    words += ["--genomeSAindexNbases", "9", "--outFileNamePrefix", f"{folder}/index."]
    subprocess.run(["STAR", "--runMode", "genomeGenerate", *words], check=True, capture_output=True)
    words = ["--genomeDir", folder / "index", "--readFilesIn", dumped[2], dumped[1]]
    words += ["--soloCBwhitelist", barcode_list, "--outFileNamePrefix", f"{folder}/"]
    words += ["--outSAMunmapped", "Within"]
    subprocess.run(["STAR", *CELLRANGER_SET, *words], check=True, capture_output=True)

    genes = {gene: at for at, gene in enumerate(truth.var_names)}
    number = len(origins)
    hits, score = np.zeros(number, int), np.zeros(number, int)
    barcodes, umis, gene = ["-"] * number, ["-"] * number, np.full(number, -1)
    with pysam.AlignmentFile(folder / "Aligned.sortedByCoord.out.bam") as bam:
        for read in bam.fetch(until_eof=True):
            at = int(read.query_name.rsplit(".", 1)[1]) - 1
            tags = dict(read.get_tags())
            hits[at], score[at] = tags["NH"], tags["AS"]
            barcodes[at], umis[at] = tags["CB"], tags["UB"]
            # Of a read with several alignments, the one in a gene tells the gene.
            if tags.get("GX", "-") != "-":
                gene[at] = genes[tags["GX"]]
    found = {"hits": hits, "score": score, "found_gene": gene}
    found |= {"found_barcode": pack_words(barcodes), "found_umi": pack_words(umis)}
    reads = origins.assign(**found)
    parts = reads[["found_barcode", "found_umi", "found_gene"]]
    whole = (parts >= 0).all(axis=1)
    return reads.assign(counted=np.where(whole, triple(*parts.to_numpy().T), -1))
