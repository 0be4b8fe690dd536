"""A download is whole or not there."""

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import download
from latere.errors import StudyError

CONTENT = b">1\n" + b"ACGT" * 100_000
LOG = logging.getLogger("download")


@pytest.fixture
def server():
    """A server on this machine that cuts off the first answer and knows one file."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            if self.path != "/genome.fa":
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if len(seen) > 1 else CONTENT[:1000])

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def test_a_cut_answer_is_fetched_again(server, tmp_path):
    url, seen = server
    path = tmp_path / "genome.fa"
    download.download(f"{url}/genome.fa", path, LOG, pause=0)
    assert path.read_bytes() == CONTENT and len(seen) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_a_failed_download(server, tmp_path):
    url, seen = server
    with pytest.raises(StudyError, match="cannot be downloaded.*404"):
        download.download(f"{url}/none.fa", tmp_path / "none.fa", LOG, pause=0)
    assert len(seen) == download.ATTEMPTS and list(tmp_path.iterdir()) == []
