"""Find whether the cDNA reads of a run are sense (3' kits) or antisense (5' kits) to the genes, and
so which chemistry the run has, as Cell Ranger 9 does (detect_chemistry/mapping_filter.rs)."""

import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from latere.errors import StudyError
from latere.job import run, run_script, start
from latere.reads.star import (
    ALIGNMENT,
    check_all_read,
    link_files,
    read_gene_strands,
    read_log,
    read_strands,
    to_command,
)

# First reads of the first lane.
READS = 200_000
# Cell Ranger's limits: 5 % of the reads map to one place; one strand has over twice the other's.
MIN_MAPPED, MIN_RATIO = 0.05, 2
# From fewer reads no share can be estimated: of 1,000 reads 5 % are 50, with a standard error of 7.
MIN_READS = 1000
# Genes vote, not reads as in Cell Ranger: of the real v3 reads on chr21, 39 % lie on one
# gene, four in five of them antisense (measured). A gene with fewer reads has no vote.
MIN_GENE_READS = 5
# If strands were drawn, one would have over twice the other's of 100 genes with p = 0.0009.
MIN_GENES = 100
# Strand of a chemistry, as STARsolo names it, by the strand of its reads.
STRANDS = {"sense": "Forward", "antisense": "Reverse"}


def ask_genes(reads: list[tuple[int, int]]) -> dict[str, int]:
    """Genes whose reads are sense, and those whose reads are antisense.

    Parameters
    ----------
    reads
        Sense and antisense reads of each gene.
    """
    shown = [pair for pair in reads if sum(pair) >= MIN_GENE_READS]
    return {
        "sense_genes": sum(sense > MIN_RATIO * antisense for sense, antisense in shown),
        "antisense_genes": sum(antisense > MIN_RATIO * sense for sense, antisense in shown),
    }


def call_strand(sense_genes: int, antisense_genes: int) -> tuple[str, str]:
    """The strand that reads lie on, and the reason.

    Returns
    -------
    tuple
        `sense`, `antisense`, or `undecided`; and the numbers in words.
    """
    figures = f"genes by their reads: {sense_genes:,} sense, {antisense_genes:,} antisense"
    if sense_genes + antisense_genes < MIN_GENES:
        return "undecided", f"{figures}: too few to decide, {MIN_GENES} genes are needed"
    if sense_genes > MIN_RATIO * antisense_genes:
        return "sense", figures
    if antisense_genes > MIN_RATIO * sense_genes:
        return "antisense", figures
    return "undecided", f"{figures}: neither has over {MIN_RATIO} times the other"


def choose_chemistry(strands: dict[str, str], strand: str, reason: str, where: str) -> str:
    """The chemistry whose reads lie on this strand.

    Parameters
    ----------
    strands
        Strand of each candidate as STARsolo names it; a named chemistry is the only candidate.
    strand, reason
        As `call_strand` returns them.

    Raises
    ------
    StudyError
        The reads lie on the other strand, or the candidates cannot be distinguished.
    """
    names = " or ".join(strands)
    if strand == "undecided":
        if len(strands) == 1:
            return names
        raise StudyError(
            where,
            f"{reason}; so the chemistry may be {names}",
            "Name the chemistry in the sheet.",
            code="unknown-strand",
        )
    fitting = [name for name, wanted in strands.items() if wanted == STRANDS[strand]]
    if fitting:
        return fitting[0]
    kit = "a 5'" if strand == "antisense" else "a 3'"
    raise StudyError(
        where,
        f"{reason}, which contradicts {names}",
        f"The library comes from {kit} kit: name its chemistry in the sheet, or write `auto`. Or "
        "the strand in the table of chemistries is wrong, or the genes are of another genome.",
        code="wrong-chemistry",
    )


def check_mapped(reads: int, mapped: int, where: str) -> None:
    """Reject reads of which too few map.

    Raises
    ------
    StudyError
        The share that maps to one place is below the limit.
    """
    if reads >= MIN_READS and mapped < MIN_MAPPED * reads:
        raise StudyError(
            where,
            f"{mapped / reads:.1%} of the first {reads:,} cDNA reads map to one place; at least "
            f"{MIN_MAPPED:.0%} are needed",
            "The reads come from another species than the reference, or are not cDNA: check "
            "`reference` in the configuration and the files in the sheet.",
            code="too-few-mapped-reads",
        )


def main(snakemake):
    start(snakemake)
    name = snakemake.wildcards.run
    roles = json.loads(Path(snakemake.input.roles).read_text(encoding="utf-8"))
    checked = json.loads(Path(snakemake.input.checked).read_text(encoding="utf-8"))
    where = f"run {name}, {roles['cdna'][0]}"
    with TemporaryDirectory(dir=snakemake.resources.tmpdir) as folder:
        # STAR runs there, and knows all files by names of ours.
        link_files(folder, {"index": snakemake.input.index, "cdna": roles["cdna"][0]})
        options = ALIGNMENT | {
            "--runThreadN": snakemake.threads,
            "--genomeDir": "index",
            "--readFilesIn": "cdna",
            "--readMapNumber": READS,
        }
        run(to_command(options), cwd=folder)
        counts = read_log(Path(folder, "Log.final.out"))
        check_all_read(counts["reads"], min(checked["lanes"][0], READS), where)
        table = Path(folder, "ReadsPerGene.out.tab")
        strands = read_strands(table) | ask_genes(read_gene_strands(table))
    reads, mapped = counts["reads"], counts["mapped_unique"]
    check_mapped(reads, mapped, where)
    strand, reason = call_strand(strands["sense_genes"], strands["antisense_genes"])
    candidates = {key: chemistry["strand"] for key, chemistry in roles["candidates"].items()}
    chemistry = choose_chemistry(candidates, strand, reason, where)
    logging.info("run %s is %s: %s", name, chemistry, reason)
    evidence = {"run": name, "chemistry": chemistry, "strand": candidates[chemistry]}
    evidence |= {"reads": reads, "mapped": round(mapped / max(reads, 1), 4)}
    evidence |= strands | {"verdict": strand, "reason": reason}
    Path(snakemake.output[0]).write_text(json.dumps(evidence, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
