"""The SRA on this machine: tells where an archive lies, as NCBI's resolver does, and gives it."""

import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BLOCK = 50_000


class SraServer:
    """Gives one archive under every accession.

    Attributes
    ----------
    content, md5
        The archive, and the MD5 that is told of it.
    knows
        Accessions that are told; None for all.
    cuts
        Bytes after which an answer with data ends, by answer; those after the last are whole.
    stands
        Whether a cut answer stands still instead of ending.
    pause, gate
        Seconds before each 50 kB, and what these wait for.
    asked
        Name, and first byte, of each request for data.
    most_at_once, most_under_way
        Most accessions, and most answers, that were given at a time.
    """

    def __init__(self, content: bytes):
        self.content, self.md5 = content, hashlib.md5(content).hexdigest()
        self.knows, self.cuts, self.stands, self.pause = None, [], False, 0
        self.asked, self._under_way = [], []
        self.gate = threading.Event()
        self.gate.set()
        self.most_at_once = self.most_under_way = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=[0.02], daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self._http.shutdown()
        self._http.server_close()

    def write_settings(self, path: Path) -> Path:
        """Settings of sra-tools that send them here: $NCBI_SETTINGS."""
        resolver = f'/repository/remote/main/SDL.2/resolver-cgi = "{self.url}/retrieve"'
        path.write_text(
            f'/LIBS/GUID = "00000000-0000-0000-0000-000000000000"\n{resolver}\n', encoding="utf-8"
        )
        return path

    def resolve(self, accession: str) -> dict:
        """What NCBI's resolver (SDL 2) tells of an accession."""
        if self.knows is not None and accession not in self.knows:
            answer = {"status": 404, "msg": "Cannot resolve accession"}
        else:
            place = {"link": f"{self.url}/{accession}", "service": "sra-ncbi", "region": "be-md"}
            file = {"object": f"srapub|{accession}", "accession": accession, "name": accession}
            file |= {"type": "sra", "size": len(self.content), "md5": self.md5}
            file |= {"modificationDate": "2022-08-31T22:50:33Z", "locations": [place]}
            answer = {"status": 200, "msg": "ok", "files": [file]}
        return {"version": "2", "result": [{"bundle": accession, **answer}]}

    def _handler(server):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
                answer = json.dumps(server.resolve(re.search("acc=([^&]+)", asked)[1])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_HEAD(self):
                self.announce()

            def do_GET(self):
                first, data = self.announce()
                name = self.path.strip("/")
                server.asked.append((name, first))
                cut = server.cuts.pop(0) if server.cuts else len(data)
                server._under_way.append(name)
                server.most_at_once = max(server.most_at_once, len(set(server._under_way)))
                server.most_under_way = max(server.most_under_way, len(server._under_way))
                try:
                    for start in range(0, min(cut, len(data)), BLOCK):
                        server.gate.wait()
                        time.sleep(server.pause)
                        self.wfile.write(data[start : min(start + BLOCK, cut)])
                    if cut < len(data):
                        time.sleep(60 * server.stands)
                        self.close_connection = True
                except OSError:
                    self.close_connection = True
                finally:
                    server._under_way.remove(name)

            def announce(self):
                size = len(server.content)
                wanted = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                first, last = map(int, wanted.groups()) if wanted else (0, size - 1)
                last = min(last, size - 1)
                self.send_response(206 if wanted else 200)
                if wanted:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(last + 1 - first))
                self.end_headers()
                return first, server.content[first : last + 1]

            def log_message(self, *words):
                pass

        return Handler
