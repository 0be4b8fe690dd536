"""STAR as all rules call it, and what its tables contain."""

import logging
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from latere.errors import StudyError

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
# Parameters that name files: links of ours, which are gone when the job ends.
LINKED = {"genomeDir", "readFilesIn", "outFileNamePrefix", "outTmpDir"}
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


def link_files(folder: Path, files: Mapping[str, str | Path]) -> None:
    """Give files names of ours, so that no name of a user reaches STAR.

    STAR puts the names of its files into shell commands, some of them without quotes.

    Parameters
    ----------
    folder
        Where STAR is to run.
    files
        Path of a file or folder by the name of its link.
    """
    for name, file in files.items():
        logging.info("%s is %s", name, file)
        Path(folder, name).symlink_to(Path(file).absolute())


def link_reads(folder: Path, reads: Mapping[str, list]) -> dict[str, list[str]]:
    """Links to the reads of a run, as `link_files` makes them.

    Parameters
    ----------
    folder
        Where STAR is to run.
    reads
        Paths by role and lane.

    Returns
    -------
    dict
        Names of the links by role and lane.
    """
    names = {
        role: [f"{role}_{lane}" for lane, _ in enumerate(files, start=1)]
        for role, files in reads.items()
    }
    for role, files in reads.items():
        link_files(folder, dict(zip(names[role], files, strict=True)))
    return names


def check_all_read(found: int, expected: int, where: str) -> None:
    """Refuse counts that STAR made of a part of the reads.

    STAR does not notice when the command that unpacks its reads fails: it counts what came.

    Parameters
    ----------
    found
        Reads that STAR read.
    expected
        Reads that the files hold, as `check_reads` counted them.
    where
        Run and files, for the message.

    Raises
    ------
    StudyError
        The numbers differ.
    """
    if found != expected:
        raise StudyError(
            where,
            f"STAR read {found:,} reads, but the files held {expected:,} when they were checked",
            "The gzip that STAR starts failed, or a file was changed. The rule's log shows what "
            "gzip reported. Run again; if it fails again, check the files and the disk.",
            code="reads-not-counted",
        )


def read_log(path: Path) -> dict[str, int]:
    """Numbers of reads in a ``Log.final.out``, each read in one class below ``reads``."""
    pairs = [
        line.split("|\t") for line in path.read_text(encoding="utf-8").splitlines() if "|\t" in line
    ]
    found = {name.strip(): value for name, value in pairs}
    return {name: int(found[line]) for name, line in COUNTS.items()}


def exon_metrics(metrics: dict) -> dict:
    """Metrics of a run as `run_metrics` leaves them, those of its counts taken over exons."""
    return metrics | metrics["counts"]["Gene"]


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
    with open(path, encoding="utf-8") as lines:
        without = next(line for line in lines if line.startswith("N_noFeature")).split()[1:]
    either, sense, antisense = map(int, without)
    return {"sense": antisense - either, "antisense": sense - either}


def read_gene_strands(path: Path) -> list[tuple[int, int]]:
    """Sense and antisense reads of each gene, in a ``ReadsPerGene.out.tab``."""
    with open(path, encoding="utf-8") as lines:
        rows = [line.split() for line in lines if not line.startswith("N_")]
    return [(int(sense), int(antisense)) for _, _, sense, antisense in rows]


def read_call(path: Path) -> dict:
    """What a ``Log.out`` records of the call.

    Returns
    -------
    dict
        STAR's `version`; the `parameters` that were given, by name, without those that name a
        file of one job (`LINKED`).
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    version = next(line for line in lines if line.startswith("STAR version=")).partition("=")[2]
    first = next(at for at, line in enumerate(lines) if "Final user re-defined parameters" in line)
    given = [line.split() for line in takewhile(lambda line: line.strip(), lines[first + 1 :])]
    parameters = {name: " ".join(value) for name, *value in given if name not in LINKED}
    return {"version": version, "parameters": parameters}
