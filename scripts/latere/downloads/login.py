"""Logins for downloads, from the user's netrc."""

import base64
import logging
import netrc
import os
import urllib.request
from urllib.parse import quote, urlsplit

from latere.errors import StudyError

NETRC_LINE = "`machine HOST login USER password PASSWORD`"


class Login(urllib.request.BaseHandler):
    """Sends the user and password that the netrc has for a host, to that host only.

    The standard library would take a header on to the host of a redirection, also over a connection
    that is not encrypted.

    Parameters
    ----------
    url
        The first URL. Its server gets its login; another server only over https at the usual port.

    Raises
    ------
    StudyError
        The netrc cannot be read.
    """

    def __init__(self, url: str):
        self.first = _server(url)
        path = os.environ.get("NETRC")
        try:
            hosts = netrc.netrc(path).hosts
        except FileNotFoundError:
            if path:
                fix = "Correct the environment variable NETRC, or unset it."
                raise StudyError(
                    path, "the netrc does not exist", fix, code="missing-file"
                ) from None
            hosts = {}
        # The message of the parser quotes the line with its password.
        except (netrc.NetrcParseError, UnicodeDecodeError, OSError) as error:
            problem = "the netrc cannot be read"
            if line := getattr(error, "lineno", None):
                problem += f" (line {line})"
            fix = f"Write lines like {NETRC_LINE}, and let only you read the file (chmod 600)."
            fault = StudyError(path or "~/.netrc", problem, fix, code="unreadable-file")
            if path:
                raise fault from None
            # Most servers need no login.
            logging.warning("%s", fault)
            hosts = {}
        # Its entry `default` is for any host, and so is not used.
        self.hosts = {host.lower(): login for host, login in hosts.items() if host != "default"}

    def http_request(self, request):
        server = _server(request.full_url)
        scheme, host, port = server
        if host in self.hosts and (server == self.first or (scheme, port) == ("https", 443)):
            user, _, password = self.hosts[host]
            words = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {words}")
        return request

    https_request = http_request

    def ftp_request(self, request):
        server = _server(request.full_url)
        if server == self.first and server[1] in self.hosts:
            user, _, password = self.hosts[server[1]]
            request.host = f"{quote(user, safe='')}:{quote(password, safe='')}@{request.host}"
        return request


def _server(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443, "ftp": 21}
    return parts.scheme, parts.hostname or "", parts.port or usual.get(parts.scheme, 0)
