"""A download is whole or not there."""

import hashlib
import logging
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import download
from latere.errors import StudyError

CONTENT = b">1\n" + b"ACGT" * 100_000
LOG = logging.getLogger("download")


FILES = {"/genome.fa": CONTENT}


@pytest.fixture
def server():
    """A server on this machine that cuts off the first answer and knows some files."""
    seen, files = [], dict(FILES)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            if self.path not in files:
                return self.send_error(404)
            content = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if len(seen) > 1 else content[: len(content) // 2])

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen, files
        server.shutdown()


def fetch(url, path, checksums=""):
    download.download(url, path, checksums, LOG, pause=0)


def test_a_cut_answer_is_fetched_again(server, tmp_path):
    url, seen, _ = server
    path = tmp_path / "genome.fa"
    fetch(f"{url}/genome.fa", path)
    assert path.read_bytes() == CONTENT and len(seen) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_a_failed_download(server, tmp_path):
    url, seen, _ = server
    with pytest.raises(StudyError, match="cannot be downloaded.*404"):
        fetch(f"{url}/none.fa", tmp_path / "none.fa")
    assert len(seen) == download.ATTEMPTS and list(tmp_path.iterdir()) == []


def test_an_answer_in_pieces_that_is_cut_off_is_told(tmp_path):
    """As of a server that does not tell the size."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for _ in range(download.ATTEMPTS):
                with server.accept()[0] as answer:
                    answer.recv(4096)
                    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    answer.sendall(head + b"5\r\nACGTA\r\n")

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(StudyError, match="cannot be downloaded.*IncompleteRead"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/a.fa", tmp_path / "a.fa")
    assert list(tmp_path.iterdir()) == []


def by_md5(content):
    return f"{'0' * 32}  genes.gtf\n{hashlib.md5(content).hexdigest()}  genome.fa\n".encode()


def by_sum(content):
    """As Ensembl does it."""
    done = subprocess.run(["sum"], input=content, capture_output=True, check=True)
    return b"00001     1 README\n" + done.stdout.strip() + b" genome.fa\n"


@pytest.mark.parametrize("listing", [by_md5, by_sum])
def test_the_publishers_checksum_decides(server, tmp_path, listing):
    url, seen, files = server
    path, words = tmp_path / "genome.fa", (f"{url}/genome.fa", tmp_path / "genome.fa")
    files["/SUMS"] = listing(CONTENT)
    fetch(*words, f"{url}/SUMS")
    assert path.read_bytes() == CONTENT and list(tmp_path.iterdir()) == [path]
    path.unlink()
    # As long, with a base exchanged.
    files["/SUMS"] = listing(CONTENT.replace(b"ACGT", b"ACGA", 1))
    seen.clear()
    with pytest.raises(StudyError, match=r"its (md5|sum) is [0-9a-f ]+, that of http.*/SUMS is"):
        fetch(*words, f"{url}/SUMS")
    assert seen.count("/genome.fa") == download.ATTEMPTS and list(tmp_path.iterdir()) == []


def test_a_list_without_the_file_is_told(server, tmp_path):
    url, seen, files = server
    files["/SUMS"] = by_md5(CONTENT).replace(b"genome.fa", b"other.fa")
    with pytest.raises(StudyError, match="SUMS: does not tell the checksum of genome.fa"):
        fetch(f"{url}/genome.fa", tmp_path / "genome.fa", f"{url}/SUMS")
    assert "/genome.fa" not in seen and list(tmp_path.iterdir()) == []


def test_forms_of_published_checksums():
    digest = "0123456789abcdef" * 2
    listing = f"{digest} *./a.fa.gz\n00985 15074 b.gtf.gz\n{digest[1:]}  c.fa\n12 x d.fa\n"
    assert download.published(listing, "a.fa.gz") == ("md5", digest)
    assert download.published(listing, "b.gtf.gz") == ("sum", "985 15074")
    assert download.published(listing, "c.fa") is download.published(listing, "d.fa") is None
    assert download.published(listing, "fa.gz") is None
