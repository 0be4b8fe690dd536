"""The report: a module for each section, which collects its facts, and a partial template of the
same name, which words them (jobs)."""
