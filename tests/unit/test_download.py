"""A download is whole or not there."""

import base64
import gzip
import hashlib
import io
import logging
import pickle
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request

import h5py
import numpy as np
import pytest

import download
from latere.downloads.login import Login
from latere.downloads.whole import is_html, published, shows_end
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
                self.send_error(404)
                return
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
    with pytest.raises(StudyError, match=r"404.*\[download-failed\]"):
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
        with pytest.raises(StudyError, match=r"IncompleteRead.*\[download-failed\]"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/a.fa", tmp_path / "a.fa")
    assert list(tmp_path.iterdir()) == []


def hdf5(libver="earliest", values=100_000):
    """A file that is written as a whole, as `h5py` writes it."""
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as written:
        written["values"] = np.arange(values)
    return file.getvalue()


PACKED = gzip.compress(CONTENT[:50_000], mtime=0)
BGZF = bytes.fromhex("1f8b08040000000000ff0600424302001b00")
# An empty block, which is what ends a file of `bgzip`.
BGZF += bytes.fromhex("03000000000000000000")
NAMED = {
    "a.gz": PACKED,
    "b.gz": PACKED + PACKED,
    "c.gz": BGZF * 2,
    "old.h5ad": hdf5(),
    "new.h5": hdf5("latest"),
    # By content, whatever its name says.
    "d": PACKED,
}


@pytest.fixture
def serve():
    """Answer on this machine, byte by byte as given, and keep what was asked."""
    asked, answers, servers = [], {}, []

    def answer_all(server):
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (more := connection.recv(4096)):
                    head += more
                asked.append(head.decode())
                connection.sendall(answers[head.decode().split()[1]])

    def begin(given):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        answers.update(given)
        threading.Thread(target=answer_all, args=[server], daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    begin.asked = asked
    yield begin
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def answer(content, *headers):
    """An answer that ends with its connection, and so gives no size."""
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + content


@pytest.mark.parametrize("name", NAMED)
def test_without_a_size_a_file_is_whole_if_it_shows_its_end(serve, tmp_path, name):
    content = NAMED[name]
    url = serve({f"/{name}": answer(content)})
    fetch(f"{url}/{name}", tmp_path / name)
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("cut", [1, 8, 1000])
@pytest.mark.parametrize("name", NAMED)
def test_without_a_size_a_file_that_is_cut_off_is_not_kept(serve, tmp_path, name, cut):
    content = NAMED[name][:-cut] or NAMED[name][: len(BGZF)][:-1]
    url = serve({f"/{name}": answer(content)})
    with pytest.raises(StudyError, match=r"\[download-failed\]"):
        fetch(f"{url}/{name}", tmp_path / name)
    assert len(serve.asked) == download.ATTEMPTS and list(tmp_path.iterdir()) == []


def test_bgzip_that_is_cut_between_its_blocks_is_not_whole(tmp_path):
    """All streams in it are whole."""
    block = gzip.compress(b"ACGT", mtime=0)
    block = BGZF[:4] + block[4:10] + BGZF[10:18] + block[10:]
    (tmp_path / "a").write_bytes(block + BGZF)
    assert shows_end(tmp_path / "a") and gzip.decompress(block + BGZF) == b"ACGT"
    (tmp_path / "a").write_bytes(block)
    assert gzip.decompress(block) == b"ACGT"
    with pytest.raises(OSError, match="cut off"):
        shows_end(tmp_path / "a")


def test_without_a_size_or_an_end_only_a_checksum_shows_that_a_file_is_whole(serve, tmp_path):
    url = serve({"/genome.fa": answer(CONTENT), "/SUMS": answer(by_md5(CONTENT))})
    with pytest.raises(StudyError, match=r"400,003 bytes.*\[unknown-size\]") as refused:
        fetch(f"{url}/genome.fa", tmp_path / "genome.fa")
    assert "gzipped" in refused.value.fix
    # It would be the same again.
    assert len(serve.asked) == 1 and list(tmp_path.iterdir()) == []
    fetch(f"{url}/genome.fa", tmp_path / "genome.fa", f"{url}/SUMS")
    assert (tmp_path / "genome.fa").read_bytes() == CONTENT


PAGE = b"<html><body>Please log in.</body></html>"
PAGES = {
    "by its type": (b"Please log in.", "text/html; charset=utf-8"),
    "by its content": (PAGE, "application/octet-stream"),
    "after a mark and blanks": (b"\xef\xbb\xbf \r\n<!DOCTYPE HTML>" + PAGE, ""),
    "after a comment": (b"<?xml version='1.0'?>\n<!-- a -->" + PAGE.upper(), ""),
    "in UTF-16": (PAGE.decode().encode("utf-16"), ""),
}


@pytest.mark.parametrize("case", PAGES)
@pytest.mark.parametrize("name", ["a.h5ad", "a.mtx.gz", "a.tsv", "SUMS"])
def test_a_web_page_is_no_data(serve, tmp_path, case, name):
    content, kind = PAGES[case]
    page = answer(
        content, f"Content-Length: {len(content)}", *[f"Content-Type: {kind}"] * bool(kind)
    )
    url = serve({f"/{name}": page})
    listing = f"{url}/SUMS" if name == "SUMS" else ""
    with pytest.raises(StudyError, match=r"\[web-page\]") as refused:
        fetch(f"{url}/{name}", tmp_path / name, listing)
    assert ".netrc" in refused.value.fix
    assert len(serve.asked) == 1 and list(tmp_path.iterdir()) == []


def test_data_that_a_server_calls_a_page_are_data(serve, tmp_path):
    """Scripts that send files often do not say of which type."""
    url = serve({"/a.gz": answer(PACKED, "Content-Type: text/html")})
    fetch(f"{url}/a.gz", tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == PACKED


@pytest.mark.parametrize(("name", "form"), [("a.h5ad", "HDF5"), ("a.h5", "HDF5"), ("a.GZ", "gzip")])
def test_a_file_is_what_its_name_says(serve, tmp_path, name, form):
    url = serve({f"/{name}": answer(b"Try again later.", "Content-Length: 16")})
    with pytest.raises(StudyError, match=rf"{form}.*Try again.*\[wrong-suffix\]"):
        fetch(f"{url}/{name}", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """A netrc with a login for this machine, by its number; the header that carries it."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password SECRET123\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return f"Authorization: Basic {base64.b64encode(b'me:SECRET123').decode()}\r\n"


def moved(url):
    return f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_login_goes_to_its_host_and_no_further(serve, tmp_path, netrc):
    other = serve({"/b": answer(PACKED)})
    by_name = other.replace("127.0.0.1", "localhost")
    first = serve({"/a": moved("/b"), "/c": moved(f"{other}/b"), "/d": moved(f"{by_name}/b")})
    # The same server, another port (which may be another person's), another host.
    for place, sent in (("a", [True, True]), ("c", [True, False]), ("d", [True, False])):
        serve.asked.clear()
        fetch(f"{first}/{place}", tmp_path / place)
        assert [netrc in head for head in serve.asked] == sent
        assert not any("Basic" in head for head in serve.asked if netrc not in head)


@pytest.mark.parametrize(
    ("first", "then", "sent"),
    [
        ("https://h.org/a", "https://h.org/a", True),
        ("http://h.org/a", "https://h.org/a", True),
        ("https://h.org/a", "http://h.org/a", False),
        ("https://h.org/a", "https://h.org:444/a", False),
        ("https://h.org/a", "https://x.org/a", False),
    ],
)
def test_where_a_login_goes(netrc, tmp_path, first, then, sent):
    (tmp_path / "netrc").write_text("machine H.org login me password SECRET123\ndefault login x\n")
    request = Request(then)
    Login(first).http_request(request)
    assert request.has_header("Authorization") == sent


def test_a_login_for_ftp(netrc):
    request = Request("ftp://127.0.0.1/a")
    assert Login("ftp://127.0.0.1/").ftp_request(request).host == "me:SECRET123@127.0.0.1"
    request = Request("ftp://localhost/a")
    assert Login("ftp://127.0.0.1/").ftp_request(request).host == "localhost"


def test_a_netrc_that_cannot_be_read_is_named_and_not_quoted(netrc, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1\nlogin me passwort SECRET123\n")
    with pytest.raises(StudyError, match=r"netrc: .*\(line 2\) \[unreadable-file\]") as refused:
        Login("http://127.0.0.1/")
    assert "SECRET123" not in str(refused.value)
    monkeypatch.setenv("NETRC", "nowhere")
    with pytest.raises(StudyError, match=r"nowhere: .*\[missing-file\]"):
        Login("http://127.0.0.1/")


def test_a_netrc_that_nobody_named_stops_no_download(netrc, tmp_path, monkeypatch, caplog):
    """Most servers need none, and curl takes files that the standard library does not."""
    (tmp_path / ".netrc").write_text("machine h.org\nlogin me passwort SECRET123\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Login("http://127.0.0.1/").hosts == {}
    assert "~/.netrc: the netrc cannot be read" in caplog.text and "SECRET" not in caplog.text


def test_no_page_takes_long_to_look_at(tmp_path):
    """Comments without end took twice as long with each: 9,000 of them fit."""
    (tmp_path / "x").write_text("<!---->" * 9000 + "x")
    assert not is_html(tmp_path / "x", "")
    (tmp_path / "x").write_text("<!---->" * 9000 + " <html>")
    assert is_html(tmp_path / "x", "")


def test_what_fails_is_told_without_its_query(server, tmp_path, caplog):
    url, _, _ = server
    with pytest.raises(StudyError) as refused:
        fetch(f"{url}/none.fa?sig=SECRET123", tmp_path / "none.fa")
    told = pickle.dumps((refused.value.args, caplog.text))
    assert b"404" in told and b"/none.fa?sig=***" in told and b"SECRET123" not in told


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
    with pytest.raises(StudyError, match=r"(md5|sum) checksum is [0-9a-f ]+; http.*/SUMS has"):
        fetch(*words, f"{url}/SUMS")
    assert seen.count("/genome.fa") == download.ATTEMPTS and list(tmp_path.iterdir()) == []


def test_a_list_without_the_file_is_told(server, tmp_path):
    url, seen, files = server
    files["/SUMS"] = by_md5(CONTENT).replace(b"genome.fa", b"other.fa")
    with pytest.raises(StudyError, match=r"SUMS: .* genome\.fa \[missing-checksum\]"):
        fetch(f"{url}/genome.fa", tmp_path / "genome.fa", f"{url}/SUMS")
    assert "/genome.fa" not in seen and list(tmp_path.iterdir()) == []


def test_forms_of_published_checksums():
    digest = "0123456789abcdef" * 2
    listing = f"{digest} *./a.fa.gz\n00985 15074 b.gtf.gz\n{digest[1:]}  c.fa\n12 x d.fa\n"
    assert published(listing, "a.fa.gz") == ("md5", digest)
    assert published(listing, "b.gtf.gz") == ("sum", "985 15074")
    assert published(listing, "c.fa") is published(listing, "d.fa") is None
    assert published(listing, "fa.gz") is None
