"""What makes a rule rerun (driver)."""
