"""Paths and URLs as users write them: allowed characters, secrets, and the name of a downloaded
file."""

import hashlib
import re
import unicodedata
from ipaddress import IPv6Address
from urllib.parse import unquote, urlsplit

from latere.fault import Fault

URL = re.compile(r"(https?|ftp)://", re.IGNORECASE)
# Snakemake fills in {name} and <name> wherever it is given a path.
FILLED_IN = re.compile(r"[{}<>]")
# All but the characters of RFC 3986; these have to be percent-encoded.
FOREIGN = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]")
BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%(?=[01]|7[Ff])")
HOST_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
# How a file's name ends where it is one that we read: the only part of a query that is shown.
ENDING = re.compile(
    r"(\.(h5ad|h5|mtx|tsv|csv|txt|fa|fna|fasta|gtf|pkl)(\.gz)?|\.gz)$", re.IGNORECASE
)
HIDDEN = "***"
CONCEALED = re.compile(r"[^?#]*\?[^#]*#(query-[0-9a-f]{12})")
# A password may have a slash; a port is not a password.
USER = re.compile(r"://([^/?#\s]*@|[^/?#@\s:\[]*:(?!\d+([/?#]|$))\S*@)")
# What names a value of a query; anything else may be a key itself.
PARAMETER = re.compile(r"[A-Za-z][\w.-]{0,39}")
IN_TEXT = re.compile(r"(?:https?|ftp)://[^\s\"<>]+|[?&][\w.~%+-]+=[^\s&#\"<>]+", re.IGNORECASE)

# What a name keeps: the file of a URL is a target of Snakemake, which puts it into command lines,
# and SLURM replaces `%` in paths of logs.
NAME = r"(?:https?|ftp)(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)+"
# All else, and what would make two names one: the mark of an escape, the first character of a file
# that is hidden, reads as an option or is one of our own, and the folders that `latere.cache` uses.
ESCAPED = re.compile(r"^[._-]|_(?=x[0-9A-F]{2})|(?<=\.part)-|[^A-Za-z0-9._-]")
# Characters of a part, and of all folders. File systems take 255 bytes a part, of which some go to
# what is written beside a file; SLURM's logs are in folders of the whole name, without slashes.
LONGEST, LONGEST_FOLDERS = 100, 130


def find_fault(text: str) -> Fault | None:
    """What is wrong with a path or a URL, before anything is opened.

    Parameters
    ----------
    text
        As a user wrote it.

    Returns
    -------
    Fault or None
        Without any secret of the URL; None if there is no fault.
    """
    odd = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")), None)
    if odd is not None:
        problem, fix = f"has the control character {odd!a}", "Remove it, or rename the file."
        return Fault(problem, fix, code="control-character")
    if URL.match(text):
        return _find_fault_of_url(text)
    if found := FILLED_IN.search(text):
        return Fault(
            f"has {found[0]!r} in a path, where Snakemake would fill in another text",
            "Rename the file or the folder: { } < > cannot be used in a path.",
            code="brace-in-path",
        )
    return None


def _find_fault_of_url(url: str) -> Fault | None:
    if found := USER.search(url):
        host = re.split("[/?#:]", url[found.end() :])[0]
        return Fault(
            "contains a user name or password",
            f"Remove them from the URL, and write a line `machine {host} login USER password "
            "PASSWORD` into ~/.netrc (chmod 600), or into the file that the environment variable "
            "NETRC names.",
            code="login-in-url",
        )
    if found := FOREIGN.search(url):
        advice = "Write it percent-encoded, as %20 for a blank; a host with its ASCII name (xn--)."
        return Fault(f"has {found[0]!a}, which a URL cannot have", advice, code="invalid-url")
    if found := BAD_PERCENT.search(url):
        advice = "Write % as %25, and no control characters."
        problem = f"has a '%' that does not encode a character: {url[found.start() :][:3]!r}"
        return Fault(problem, advice, code="invalid-url")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if parts.netloc.startswith("["):
            IPv6Address(host)
        elif not all(map(HOST_LABEL.fullmatch, host.removesuffix(".").split("."))):
            raise ValueError
    except ValueError:
        fix = "Write it as https://host/folder/file."
        return Fault("is a URL without a valid host or port", fix, code="invalid-url")
    if "#" in url:
        return Fault(
            "has a fragment (#), which no server receives",
            "Remove it; a # in the name of a file is written %23.",
            code="invalid-url",
        )
    if {".", ".."} & set(re.split(r"[/\\]", unquote(parts.path))):
        fix = "Write the path without them."
        return Fault("has '.' or '..' in its path", fix, code="invalid-url")
    return None


def conceal(url: str) -> str:
    """A URL without the values of its query, of which one may be a signature or a key.

    Parameters
    ----------
    url
        A URL without fault, or a path.

    Returns
    -------
    str
        The names in the query and the ending of a file stay. A hash distinguishes queries.
        What has no query, or is concealed already, is given as it is.
    """
    if not URL.match(url) or "?" not in url or CONCEALED.fullmatch(url):
        return url
    place, _, query = url.partition("?")
    shown = "&".join(_conceal_value(part) for part in query.split("&"))
    return f"{place}?{shown}#query-{_digest(query)[:12]}"


def _conceal_value(part: str) -> str:
    name, _, value = part.partition("=")
    if not value.strip("=") or not PARAMETER.fullmatch(name):
        return HIDDEN
    ending = ENDING.search(unquote(value))
    return f"{name}={HIDDEN}{ending[0].lower() if ending else ''}"


def hide(text: str) -> str:
    """A text in which URLs show neither user, password nor values of a query."""

    def replace(match):
        # Punctuation after a URL in a sentence is not part of the URL.
        found = match[0].rstrip(".,:;)]'`")
        after = match[0][len(found) :]
        if URL.match(found):
            return conceal(found) + after
        return f"{found.partition('=')[0]}={HIDDEN}{after}"

    return IN_TEXT.sub(replace, USER.sub(f"://{HIDDEN}@", text))


class SecretUrl(str):
    """A URL that is whole for the job that asks for it, and concealed wherever it is recorded.

    Snakemake hands parameters to scripts by pickle, and records and shows them by `repr`.
    """

    def __repr__(self):
        return repr(conceal(str(self)))

    def __reduce__(self):
        return str, (str(self),)


def url_name(url: str) -> str:
    """Name that the file of a URL is kept under: a path that shows the URL and ends as the file.

    Parameters
    ----------
    url
        A URL without fault, concealed or not.

    Returns
    -------
    str
        Scheme, host and folders of the URL, its query as a hash, and the file. It matches `NAME`,
        no two URLs have the same name, no name leads out of its folder or is the folder of another.
        A character that is not a letter, a digit, ``.``, ``_`` or ``-`` is ``_x`` and its
        hexadecimal code.
    """
    url = conceal(url)
    place, _, rest = url.partition("?")
    scheme, _, place = place.partition("://")
    *folders, file = place.split("/") if "/" in place else [place, ""]
    # A folder never ends as a file does, so that one URL may go on where another ends.
    folders = [
        ENDING.sub(lambda end: end[0].replace(".", "_x2E"), _component(part) or "_empty")
        for part in folders
    ]
    if rest:
        folders.append(f"_{CONCEALED.fullmatch(url)[1]}")
    file = _component(file)
    if not ENDING.search(file):
        endings = filter(None, map(ENDING.search, rest.partition("#")[0].split("&")))
        ending = next(endings, None)
        file = f"_file-{file}{ending[0] if ending else ''}"
    if len("/".join(folders)) > LONGEST_FOLDERS:
        folders = [folders[0], f"_long-{_digest('/'.join(folders))[:16]}"]
    return "/".join([scheme.lower(), *folders, file])


def _component(part: str) -> str:
    """A part of a URL as the name of a file or folder.

    A name that begins with ``_`` and is not an escape is of our own making.
    """
    name = ESCAPED.sub(lambda match: "".join(f"_x{b:02X}" for b in match[0].encode()), part)
    if len(name) <= LONGEST:
        return name
    return f"_long-{_digest(part)[:16]}-{name[-LONGEST // 2 :]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
