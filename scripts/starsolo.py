"""Count one run with STARsolo, with the parameters that equal CellRanger 4 and later
(STAR, docs/STARsolo.md)."""

import json
from pathlib import Path

from latere.job import run, start


def starsolo_options(roles: dict, chemistry: dict, index, whitelist, prefix: str, threads: int):
    """Options of the STAR call that counts one run.

    Parameters
    ----------
    roles
        As `assign_roles` tells them.
    chemistry
        Row of the table of chemistries.
    index, whitelist
        Folder of the STAR index; file with one barcode a line.
    prefix
        What the names of the output files begin with.

    Returns
    -------
    dict
        Option to value, or to a list of values.
    """
    return {
        "--runThreadN": threads,
        "--genomeDir": index,
        # cDNA first, then barcodes.
        "--readFilesIn": [",".join(roles["cdna"]), ",".join(roles["barcode"])],
        # Passes plain files through.
        "--readFilesCommand": ["gzip", "-cdf"],
        "--soloType": "CB_UMI_Simple",
        "--soloCBwhitelist": whitelist,
        "--soloCBstart": chemistry["barcode_start"],
        "--soloCBlen": chemistry["barcode_length"],
        "--soloUMIstart": chemistry["umi_start"],
        "--soloUMIlen": chemistry["umi_length"],
        "--soloStrand": chemistry["strand"],
        # `assign_roles` has checked the length; some libraries are sequenced past the UMI.
        "--soloBarcodeReadLength": 0,
        "--soloCBmatchWLtype": "1MM_multi_Nbase_pseudocounts",
        "--soloUMIfiltering": "MultiGeneUMI_CR",
        "--soloUMIdedup": "1MM_CR",
        "--clipAdapterType": "CellRanger4",
        "--outFilterScoreMin": 30,
        "--soloCellFilter": "EmptyDrops_CR",
        "--soloFeatures": ["Gene", "GeneFull", "Velocyto"],
        "--outSAMtype": "None",
        # As the umask says; else nobody but the user can open the folders.
        "--runDirPerm": "All_RWX",
        "--outFileNamePrefix": prefix,
    }


def to_command(options: dict) -> list[str]:
    """The STAR command with these options."""
    words = ["STAR"]
    for option, value in options.items():
        words += [option, *(value if isinstance(value, list) else [value])]
    return [str(word) for word in words]


def main(snakemake):
    start(snakemake)
    folder = Path(snakemake.output[0])
    folder.mkdir(parents=True, exist_ok=True)
    options = starsolo_options(
        roles=json.loads(Path(snakemake.input.roles).read_text()),
        chemistry=snakemake.params.chemistry,
        index=snakemake.input.index,
        whitelist=snakemake.input.whitelist,
        prefix=f"{folder}/{snakemake.wildcards.run}.",
        threads=snakemake.threads,
    )
    run(to_command(options))
    # As CellRanger leaves them, so that its readers read them.
    tables = [file for kind in ("mtx", "tsv") for file in folder.glob(f"*.Solo.out/*/*/*.{kind}")]
    run(["pigz", "--no-name", "--processes", snakemake.threads, *sorted(tables)])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
