"""What more than one script of latere needs, and the version of latere."""

__version__ = "0.1.0"
