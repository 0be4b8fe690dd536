"""One page on the reads: runs that stand out, counts and cells of each run, how its chemistry was
detected, alignment, FastQC, versions of all tools."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from latere.job import run, run_script, start
from latere.published import read_published
from latere.reads.flags import find_flags
from latere.reads.sections import (
    chemistry_section,
    flag_section,
    knee_section,
    published_sections,
    read_section,
    run_section,
    tried_section,
)


def main(snakemake):
    start(snakemake)
    files, params = snakemake.input, snakemake.params
    read = {}
    for kind in ("metrics", "roles", "checked", "strand"):
        tables = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files[kind]]
        read[kind] = {each["run"]: each for each in tables}
    metrics = {name: read["metrics"][name] for name in params.runs}
    samples = {name: told["sample"] for name, told in metrics.items()}
    flags = find_flags(metrics, params.limits)
    contents = [
        flag_section(flags, samples, params.limits),
        run_section(metrics, params.limits, flags),
        knee_section(metrics),
        chemistry_section(read["roles"], read["strand"], samples),
        tried_section(read["roles"]),
        read_section(read["checked"], samples),
    ]
    if files.get("published"):
        contents += published_sections(metrics, read_published(files.published))
    page = Path(snakemake.output[0])
    with TemporaryDirectory() as made:
        for each in filter(lambda each: each["data"], contents):
            Path(made, f"{each['id']}_mqc.json").write_text(json.dumps(each), encoding="utf-8")
        logs = [
            Path(folder, f"{name}.Log.final.out")
            for name, folder in zip(samples, files.starsolo, strict=True)
        ]
        command = [sys.executable, "-m", "multiqc", "--config", files.config]
        command += ["--title", f"latere: reads of {params.study}", "--no-data-dir"]
        command += ["--custom-css-file", files.css]
        command += ["--force", "--outdir", page.parent, "--filename", page.name]
        run([*command, *files.fastqc, *logs, made, *files.versions])


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
