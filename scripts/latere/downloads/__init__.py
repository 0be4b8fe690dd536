"""What a download needs besides the network: logins, and signs that a file is whole (jobs)."""
