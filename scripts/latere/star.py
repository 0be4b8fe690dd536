"""STAR as all rules call it, and what its tables tell."""

from itertools import takewhile
from pathlib import Path

# What decides where a read maps: as CellRanger 4 and later (STAR, docs/STARsolo.md).
ALIGNMENT = {
    # Passes plain files through.
    "--readFilesCommand": ["gzip", "-cdf"],
    "--clipAdapterType": "CellRanger4",
    "--outFilterScoreMin": 30,
    # Reads by strand, of all that map to one place; costs nothing and changes no count (measured).
    "--quantMode": "GeneCounts",
    "--outSAMtype": "None",
    # As the umask says; else nobody but the user can open the folders.
    "--runDirPerm": "All_RWX",
}
# Lines of `Log.final.out`.
COUNTS = {
    "reads": "Number of input reads",
    "mapped_unique": "Uniquely mapped reads number",
    "mapped_multiple": "Number of reads mapped to multiple loci",
    "mapped_too_many": "Number of reads mapped to too many loci",
    "unmapped_mismatches": "Number of reads unmapped: too many mismatches",
    "unmapped_short": "Number of reads unmapped: too short",
    "unmapped_other": "Number of reads unmapped: other",
}


def to_command(options: dict) -> list[str]:
    """The STAR command with these options, each with a value or a list of values."""
    words = ["STAR"]
    for option, value in options.items():
        words += [option, *(value if isinstance(value, list) else [value])]
    return [str(word) for word in words]


def read_log(path: Path) -> dict[str, int]:
    """Numbers of reads in a ``Log.final.out``, each read in one class below ``reads``."""
    pairs = [line.split("|\t") for line in path.read_text().splitlines() if "|\t" in line]
    found = {name.strip(): value for name, value in pairs}
    return {name: int(found[line]) for name, line in COUNTS.items()}


def read_strands(path: Path) -> dict[str, int]:
    """Reads that lie on exons of one strand only, in a ``ReadsPerGene.out.tab``.

    Its second column takes exons of both strands, its third those on the read's strand, its fourth
    those on the other. A read without a gene in the third but with one in the second lies on
    antisense exons only.

    Returns
    -------
    dict
        Reads that map to one place, by `sense` and `antisense`, as the cDNA read lies.
    """
    with open(path) as lines:
        without = next(line for line in lines if line.startswith("N_noFeature")).split()[1:]
    either, sense, antisense = map(int, without)
    return {"sense": antisense - either, "antisense": sense - either}


def read_gene_strands(path: Path) -> list[tuple[int, int]]:
    """Sense and antisense reads of each gene, in a ``ReadsPerGene.out.tab``."""
    with open(path) as lines:
        rows = [line.split() for line in lines if not line.startswith("N_")]
    return [(int(sense), int(antisense)) for _, _, sense, antisense in rows]


def read_call(path: Path) -> dict:
    """What a ``Log.out`` tells of the call.

    Returns
    -------
    dict
        STAR's `version`; the `parameters` that were given, by name, but for the temporary folder,
        whose name is drawn.
    """
    lines = path.read_text().splitlines()
    version = next(line for line in lines if line.startswith("STAR version=")).partition("=")[2]
    first = next(at for at, line in enumerate(lines) if "Final user re-defined parameters" in line)
    given = [line.split() for line in takewhile(lambda line: line.strip(), lines[first + 1 :])]
    parameters = {name: " ".join(value) for name, *value in given if name != "outTmpDir"}
    return {"version": version, "parameters": parameters}
