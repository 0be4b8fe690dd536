"""Read every record of every lane once, so that STAR is never started on reads that are cut off,
broken, out of step between mates, or too short."""

import json
import string
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path

from latere.errors import StudyError
from latere.job import run_script, start
from latere.reads.chemistry import Chemistry
from latere.reads.fastq import read_batches
from latere.reads.names import are_mates, refuse_names

# Letters, and the signs of an unknown base. FastQC lists frequent sequences as they are, and
# MultiQC treats them as HTML.
BASES = string.ascii_letters.encode() + b".*-"


def needed_lengths(chemistry: Chemistry) -> dict[str, int]:
    """Bases that a read of each role must have at least."""
    return {
        "barcode": chemistry.barcode_read_length,
        "umi": chemistry.umi_read_length,
        "cdna": 1,
        "index": 0,
    }


def lanes_of(roles: dict) -> list[list[tuple[str, str]]]:
    """By lane, role and file of each mate.

    Parameters
    ----------
    roles
        As `assign_roles` writes them.
    """
    count = len(roles["cdna"])
    return [
        [
            (role, file)
            for role in ("barcode", "umi", "cdna", "index")
            for file in roles[role][lane::count]
        ]
        for lane in range(count)
    ]


def check_lane(lane: list[tuple[str, str]], needed: dict[str, int], run: str) -> dict:
    """Read one lane to its end.

    Parameters
    ----------
    lane
        Role and file of each mate.
    needed
        As `needed_lengths` gives them.
    run
        Name of the run, for messages.

    Returns
    -------
    dict
        reads (records of each mate) and lengths (by role, a set with the least and the greatest).

    Raises
    ------
    StudyError
        A file is not whole FASTQ (`read_batches`), a read is too short or has odd bases, or the
        mates do not agree in names or number.
    """
    roles, files = zip(*lane, strict=True)
    lengths = {role: set() for role in roles}
    before = 0
    mates = [read_batches(file, run) for file in files]
    for batches in zip_longest(*mates, fillvalue=()):
        sizes = [len(batch) for batch in batches]
        if len(set(sizes)) > 1:
            # To their ends, for the numbers: the shorter one may turn out to be damaged, too.
            counts = [
                before + size + sum(map(len, rest)) for size, rest in zip(sizes, mates, strict=True)
            ]
            raise refuse_counts(files, counts, run)
        names = list(map(are_mates, *batches))
        if not all(names):
            at = names.index(False)
            where = f"run {run}, {files[0]}"
            raise refuse_names(
                where,
                f"spot {before + at + 1:,} has",
                [(file, batch[at]) for file, batch in zip(files, batches, strict=True)],
            )
        for role, file, batch in zip(roles, files, batches, strict=True):
            found = set(map(len, batch))
            if min(found) < needed[role]:
                raise refuse_length(role, file, batch, needed[role], before, run)
            lengths[role] |= {min(found), max(found)}
            bases = "".join([read.sequence for read in batch]).encode()
            if bases.translate(None, BASES):
                raise refuse_bases(file, batch, before, run)
        before += sizes[0]
    return {"reads": before, "lengths": lengths}


def refuse_length(
    role: str, file: str, batch: list, needed: int, before: int, run: str
) -> StudyError:
    """A read is too short.

    Parameters
    ----------
    before
        Records of the file before this batch.
    """
    at, length = next((at, len(read)) for at, read in enumerate(batch) if len(read) < needed)
    return StudyError(
        f"run {run}, {file}",
        f"record {before + at + 1:,} has {length} bp; a {role} read needs {needed} bp",
        "The reads were trimmed: give them as they were sequenced.",
        code="short-read",
    )


def refuse_bases(file: str, batch: list, before: int, run: str) -> StudyError:
    """A read has characters that are not bases.

    Parameters
    ----------
    before
        Records of the file before this batch.
    """
    at, odd = next(
        (at, odd)
        for at, read in enumerate(batch)
        if (odd := read.sequence.encode().translate(None, BASES))
    )
    return StudyError(
        f"run {run}, {file}",
        f"record {before + at + 1:,} has {chr(odd[0])!r} among its bases",
        "The file is not FASTQ with one line of bases per read, or it is damaged: get it again.",
        code="not-a-base",
    )


def refuse_counts(files: tuple[str], counts: list[int], run: str) -> StudyError:
    """The mates of a lane have different numbers of reads."""
    numbers = ", ".join(
        f"{count:,} in {Path(file).name}" for file, count in zip(files, counts, strict=True)
    )
    return StudyError(
        f"run {run}, {files[counts.index(min(counts))]}",
        f"the files of this lane differ in their number of reads ({numbers})",
        "A copy stopped early, or one of the files was filtered alone: get them again.",
        code="read-numbers-differ",
    )


def check_reads(roles: dict, threads: int) -> dict:
    """Read all lanes of a run, some at a time.

    Parameters
    ----------
    roles
        As `assign_roles` writes them.

    Returns
    -------
    dict
        run; reads (pairs, all lanes); lanes (reads of each); lengths (shortest and longest read by
        role).

    Raises
    ------
    StudyError
        As `check_lane`.
    """
    # Candidates differ in nothing but the strand.
    chemistry = Chemistry(**next(iter(roles["candidates"].values())))
    check = partial(check_lane, needed=needed_lengths(chemistry), run=roles["run"])
    lanes = lanes_of(roles)
    with ProcessPoolExecutor(min(threads, len(lanes)), get_context("fork")) as pool:
        checked = list(pool.map(check, lanes))
    reads = [lane["reads"] for lane in checked]
    lengths = {
        role: set().union(*(lane["lengths"][role] for lane in checked))
        for role in checked[0]["lengths"]
    }
    return {
        "run": roles["run"],
        "reads": sum(reads),
        "lanes": reads,
        "lengths": {role: [min(found), max(found)] for role, found in lengths.items()},
    }


def main(snakemake):
    log = start(snakemake)
    roles = json.loads(Path(snakemake.input.roles).read_text(encoding="utf-8"))
    checked = check_reads(roles, snakemake.threads)
    log.info("%s", checked)
    Path(snakemake.output[0]).write_text(json.dumps(checked, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
