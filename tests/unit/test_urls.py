"""Paths and URLs of users: what is refused, what is shown of them, and the names of downloads."""

import pickle
import re
from pathlib import Path

import pytest

from latere.errors import StudyError
from latere.urls import NAME, SecretUrl, conceal, find_fault, hide, url_name

SIGNED = "https://h.org/a/x.h5ad?X-Amz-Signature=SECRET123&part=1"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a/b_c/genome.fa.gz", "https/example.org/a/b_c/genome.fa.gz"),
        ("HTTP://h:8080/x", "http/h_x3A8080/_file-x"),
        ("http://h/$(id)`;&'%20.h5ad", "http/h/_x24_x28id_x29_x60_x3B_x26_x27_x2520.h5ad"),
        (
            "http://h/-rf/.a/_b/c_x2F/d.part-1",
            "http/h/_x2Drf/_x2Ea/_x5Fb/c_x5Fx2F/_file-d.part_x2D1",
        ),
        ("http://h//a/", "http/h/_empty/a/_file-"),
        ("http://h", "http/h/_file-"),
        ("http://h/x.h5ad/b.mtx.gz", "http/h/x_x2Eh5ad/b.mtx.gz"),
    ],
)
def test_name_of_a_download(url, name):
    assert url_name(url) == name and re.fullmatch(NAME, name)


@pytest.mark.parametrize(
    ("url", "end"),
    [
        ("https://h/geo/download/?acc=GSM1&format=file&file=GSM1_SECRET123.h5", "/_file-.h5"),
        ("https://h/get.php?f=SECRET123.mtx.gz&x=1", "/_file-get.php.mtx.gz"),
        ("https://h/geo/download/?acc=GSM1&file=GSM1%5FSECRET123%2Eh5", "/_file-.h5"),
        (SIGNED, "/x.h5ad"),
    ],
)
def test_a_query_is_a_hash_in_a_name_that_ends_as_the_file(url, end):
    name = url_name(url)
    assert re.search(r"/_query-[0-9a-f]{12}/[^/]+$", name) and name.endswith(end)
    assert "SECRET" not in name and re.fullmatch(NAME, name)
    assert url_name(conceal(url)) == name != url_name(url + "4")


def test_no_two_urls_have_one_name():
    parts = ["a", "_a", "_x61", "a_x2Fb", "a/b", "a%2Fb", "", "_empty", ".a", "-a", "a.part-", "A"]
    parts += [
        "a.part_x2D",
        "a/",
        "/a",
        "a.gz",
        "a.gz/b",
        "a.gz/b.gz",
        "a//b",
        "_query-0/a",
        "a?0",
        "a?1",
        "%61",
    ]
    long = ["b" * 101, "b" * 102, f"{'b' * 101}/c", "/".join("c" * 70), "/".join("c" * 71)]
    urls = [f"{head}{part}" for head in ("http://h/", "https://h/") for part in parts + long]
    names = [url_name(url) for url in urls]
    assert len(set(names)) == len(urls)
    assert not set(names) & {str(parent) for name in names for parent in Path(name).parents}
    for name in names:
        assert re.fullmatch(NAME, name)
        # A path of as many parts, or the one part that it is in the paths of SLURM's logs.
        assert len(name) < 250 and not {"", ".", ".."} & set(name.split("/"))


@pytest.mark.parametrize(
    ("text", "code", "value"),
    [
        ("http://[::1/x.h5ad", "invalid-url", "valid host"),
        ("http://a..b/x", "invalid-url", "valid host"),
        ("http:///x", "invalid-url", "valid host"),
        ("http://h:99999/x", "invalid-url", "valid host"),
        ("http://h/a b.h5ad", "invalid-url", "' '"),
        ("http://h/$(id>X).h5ad", "invalid-url", "'>'"),
        ("http://h/{x}.h5ad", "invalid-url", "'{'"),
        ("http://h/é.h5ad", "invalid-url", r"'\xe9'"),
        ("http://h/a%0ab", "invalid-url", "'%0a'"),
        ("http://h/100%.h5ad", "invalid-url", "'%.h'"),
        ("http://h/../x", "invalid-url", "'..'"),
        ("http://h/a/%2E%2e/x", "invalid-url", "'..'"),
        ("http://h/a%2f..%5cx", "invalid-url", "'..'"),
        ("http://h/x#y", "invalid-url", "fragment"),
        ("http://h/a\nb", "control-character", r"'\n'"),
        ("data{x}/a.fq", "brace-in-path", "'{'"),
        ("data/a}.fq", "brace-in-path", "'}'"),
        ("<x>.tsv", "brace-in-path", "'<'"),
        ("a\x00b", "control-character", r"'\x00'"),
        ("a\u2028b", "control-character", r"'\u2028'"),
    ],
)
def test_faults(text, code, value):
    fault = find_fault(text)
    assert fault.code == code and value in fault.problem


@pytest.mark.parametrize(
    "url",
    [
        "https://user:SECRET123@h.org/x",
        "https://SECRET123@h.org/x",
        "ftp://u:SEC/RET123@h.org:21/x",
        "https://u:SECRET123@SECRET123@h.org/x",
    ],
)
def test_a_login_goes_to_netrc_and_is_not_shown(url):
    problem, fix = find_fault(url)
    assert "machine h.org " in fix and "NETRC" in fix
    error = StudyError(f"sheet.tsv: {url}", f"{problem} ({url!r})", f"See {url}.")
    for text in (str(error), error.where, error.problem, error.fix):
        assert "RET123" not in text and "h.org" in text


@pytest.mark.parametrize(
    "text",
    [
        "https://h.org:8080/@scope/a~b/x(1).h5ad?a=b",
        "https://h.org:8443?x=a@b",
        "ftp://h/x",
        "http://[::1]:80/x",
        "a b/*?.fq",
    ],
)
def test_valid_paths_and_urls(text):
    assert find_fault(text) is None


@pytest.mark.parametrize(
    "query", ["X-Amz-Signature=SECRET123", "SECRET123", "SECRET123==", "a=1;b=SECRET123"]
)
def test_no_value_of_a_query_is_shown(query):
    url = f"https://h.org/x.h5ad?{query}"
    for text in (conceal(url), repr([SecretUrl(url)]), hide(f"GET '{url}': 403")):
        assert "SECRET123" not in text and "https://h.org/x.h5ad?" in text
    assert hide(f"{url}, {url}: no") == f"{conceal(url)}, {conceal(url)}: no"
    assert hide(conceal(url)) == conceal(url) == conceal(hide(url))
    assert hide("asked for '/x?part=1&sig=SECRET123'") == "asked for '/x?part=***&sig=***'"


def test_a_job_gets_the_url_itself():
    loaded = pickle.loads(pickle.dumps(SecretUrl(SIGNED), protocol=4))
    assert loaded == SIGNED and type(loaded) is str


def test_a_login_of_any_scheme_is_hidden():
    assert hide("s3://me:SECRET123@b/a: no") == "s3://***@b/a: no"
