# What the study will cost, told before anything is submitted: `snakemake plan --cores 1`.


localrules:
    plan,


# The rule runs in a process of its own, which is not told of `--resources`.
os.environ.setdefault("LATERE_UNPACKED", str(workflow.global_resources["unpacked"].value))


# Without an output or a benchmark, so that it tells anew each time. It runs in the environment of
# Snakemake, which it calls to count the jobs.
rule plan:
    log:
        "<logs>/plan.log",
    run:
        from plan import tell

        stages = {rule.name: Path(rule.snakefile).stem for rule in workflow.rules}
        tell(
            GIVEN,
            SIZES,
            stages,
            int(os.environ["LATERE_UNPACKED"]),
            Path(workflow.main_snakefile),
            in_conda,
            Path(log[0]),
        )
