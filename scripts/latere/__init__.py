"""What more than one script of latere needs."""
