# The cost of the study, printed before anything is submitted: `snakemake plan`.


localrules:
    plan,


# The rule runs in its own process, which does not get `--resources`.
UNPACKED = os.environ.setdefault("LATERE_UNPACKED", str(internals.get_limit(workflow, "unpacked")))


# Without an output or a benchmark, so that it runs each time. It runs in the environment of
# Snakemake, which it calls to count the jobs.
rule plan:
    log:
        "<logs>/plan.log",
    run:
        import plan

        plan.print_plan(GIVEN, SIZES, workflow, int(UNPACKED), in_conda, Path(log[0]))
