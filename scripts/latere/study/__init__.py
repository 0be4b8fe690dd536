"""The study as the user describes it: configuration, sheet, references (driver)."""
