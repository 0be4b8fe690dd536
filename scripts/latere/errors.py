"""Errors that a person can act on."""

from collections.abc import Iterable
from functools import partial

from latere.urls import hide

# Characters of a part of a message: a cell of a sheet may have millions.
LONGEST = 1_500


def printable(text: str) -> str:
    """A part of a message as a terminal can show it: no control or invisible characters, not long.

    Parameters
    ----------
    text
        May quote the content of any file.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}"
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode()
        for sign in text
    )


class StudyError(Exception):
    """Something in the user's input is wrong.

    Parameters
    ----------
    where
        The file, and in it the row, column or key.
    problem
        What is wrong, with the value.
    fix
        What to do.
    code
        A stable name of this kind of problem, in words with hyphens; the message shows it.
    """

    def __init__(self, where: str, problem: str, fix: str = "", *, code: str = ""):
        where = where.replace("\n", "\\n")
        # Passwords and signatures of URLs go to no terminal and into no log.
        where, problem, fix = (printable(hide(text)) for text in (where, problem, fix))
        self.where, self.problem, self.fix, self.code = where, problem, fix, code
        name = f" [{code}]" if code else ""
        super().__init__(f"{where}: {problem}{name}" + (f"\n  -> {fix}" if fix else ""))

    def __reduce__(self):
        """What it takes to raise it again in another process."""
        made = partial(type(self), code=self.code)
        return made, (self.where, self.problem, self.fix)

    @property
    def codes(self) -> list[str]:
        """The code, as a list: of several errors there are several."""
        return [self.code]

    def within(self, where: str) -> "StudyError":
        """The same error, with the place that names its place."""
        place = f"{where}: {self.where}" if self.where else where
        return StudyError(place, self.problem, self.fix, code=self.code)


class StudyErrors(StudyError):
    """Several problems, reported at once, so that one dry run shows them all.

    Parameters
    ----------
    errors
        The problems, in the order of the file; at least one.
    """

    SHOWN = 10

    def __init__(self, errors: list[StudyError]):
        self.errors = list(errors)
        lines = [str(error) for error in errors[: self.SHOWN]]
        if len(errors) > self.SHOWN:
            lines.append(f"... and {len(errors) - self.SHOWN} more problems of this kind.")
        Exception.__init__(self, "\n".join(lines))

    def __reduce__(self):
        """What it takes to raise them again in another process."""
        return type(self), (self.errors,)

    @property
    def codes(self) -> list[str]:
        """The codes of its parts, in their order."""
        return [code for error in self.errors for code in error.codes]


def raise_all(errors: Iterable[StudyError]) -> None:
    """Raise the problems of one stage of checks together, if there are any."""
    errors = list(errors)
    if errors:
        raise StudyErrors(errors)


def fix_missing(*paths: str) -> str:
    """The fix for files that do not exist.

    Parameters
    ----------
    paths
        As the user named them. An address of a bucket (s3://, gs://) is not a path.

    Returns
    -------
    str
        A sentence or two.
    """
    if any("://" in path for path in paths):
        return (
            "Download it, and name its path. Only a matrix or a reference may be a URL, with http, "
            "https or ftp."
        )
    return "Check the path; it is relative to the folder Snakemake works in."
