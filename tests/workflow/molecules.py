"""Molecules as numbers, and what became of each of those that the simulation put into cells."""

import anndata as ad
import numpy as np
import pandas as pd

RUN = "healthy_3"  # the smallest archive
# How far the reads of a molecule came, in the order of the steps that they take.
STAGES = ["barcode", "unmapped", "several places", "no gene", "two genes", "collapsed"]


def read_called(results, run):
    """Counts of the called cells of a run."""
    counts = ad.read_h5ad(results / f"counts/{run}.h5ad")
    droplets = pd.read_parquet(results / f"cells/droplets/{run}.parquet")
    assert list(droplets["barcode"]) == list(counts.obs_names)
    return counts[droplets["called"].to_numpy()].copy()


def pack(bases) -> np.ndarray:
    """Words of bases as numbers, two bits a base; shape (words, length) of ASCII codes."""
    codes = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), bases)
    return codes @ (4 ** np.arange(bases.shape[1])[::-1])


def pack_words(words) -> np.ndarray:
    """Words of bases as numbers; -1 for one of another length."""
    words = np.array(words, dtype=bytes)
    length = words.dtype.itemsize
    whole = np.char.str_len(words) == length
    numbers = pack(np.where(whole, words, b"A" * length)[:, None].view(np.uint8))
    return np.where(whole, numbers, -1)


def triple(barcode, umi, gene) -> np.ndarray:
    """What STARsolo counts, as one number: a UMI of a gene in a droplet."""
    barcode, umi, gene = (np.asarray(part, dtype=np.int64) for part in (barcode, umi, gene))
    return (barcode << 30) | (umi << 10) | gene


def gene_of(triples) -> np.ndarray:
    """The gene of each triple."""
    return np.asarray(triples) & 1023


def one_base_apart(umis, others) -> np.ndarray:
    """Whether two UMIs differ in exactly one base, elementwise."""
    differ = np.asarray(umis) ^ np.asarray(others)
    differ = (differ | differ >> 1) & 0x5555555555555555
    return (differ != 0) & (differ & (differ - 1) == 0)


def trace(reads: pd.DataFrame, barcodes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What became of the true molecules of cells, and what was counted without being one.

    A molecule that is counted under a misread UMI, and under no other, is counted all the same.

    Parameters
    ----------
    reads
        As the fixture `traced` gives them.
    barcodes
        Of the cells, as numbers.

    Returns
    -------
    lost : DataFrame
        By molecule that has no count: cause, one of `STAGES`, the furthest that a read of it came.
    gained : DataFrame
        By count that has no molecule: cause, `UMI error` for one of the cell's own molecules, else
        the kind of the molecule that was read (or `other droplet`).
    """
    own = reads[(reads["kind"] == "transcript") & reads["barcode"].isin(barcodes)]
    counted = reads[(reads["counted"] >= 0) & reads["found_barcode"].isin(barcodes)]
    lost = own[~own["molecule"].isin(counted["counted"])]
    gained = counted[~counted["counted"].isin(own["molecule"])]
    renamed = gained[gained["molecule"].isin(lost["molecule"])]
    renamed = renamed.drop_duplicates("counted").drop_duplicates("molecule")
    lost = lost[~lost["molecule"].isin(renamed["molecule"])]
    gained = gained[~gained["counted"].isin(renamed["counted"])]

    right = lost["found_gene"] == lost["gene"]
    stage = np.select(
        [
            lost["found_barcode"] != lost["barcode"],
            lost["hits"] == 0,
            ~right & (lost["hits"] > 1),
            ~right,
            lost["found_umi"] < 0,
        ],
        range(5),
        5,
    )
    furthest = pd.Series(stage, index=lost["molecule"]).groupby(level=0).max()
    lost = furthest.map(dict(enumerate(STAGES))).to_frame("cause")
    misread = gained["molecule"].isin(own["molecule"])
    same = gained["found_barcode"] == gained["barcode"]
    cause = gained["kind"].where(~misread, "UMI error").where(same, "other droplet")
    gained = cause.groupby(gained["counted"]).first().to_frame("cause")
    return lost, gained
