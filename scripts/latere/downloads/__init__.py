"""What a download needs beside the network: logins, and what shows that a file is whole (jobs)."""
