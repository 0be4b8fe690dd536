"""Errors that a person can act on."""


class StudyError(Exception):
    """Something in the user's input is wrong: where, what, and how to mend it.

    Parameters
    ----------
    where
        The file, and in it the row, column or key.
    problem
        What is wrong, with the value that is.
    mend
        What to do about it.
    """

    def __init__(self, where: str, problem: str, mend: str = ""):
        self.where, self.problem, self.mend = where, problem, mend
        super().__init__(f"{where}: {problem}" + (f"\n  -> {mend}" if mend else ""))

    def __reduce__(self):
        """What it takes to raise it again in another process."""
        return type(self), (self.where, self.problem, self.mend)


class StudyErrors(StudyError):
    """Several problems, told at once, so that one dry run shows them all.

    Parameters
    ----------
    errors
        The problems, in the order of the file; at least one.
    """

    SHOWN = 10

    def __init__(self, errors: list[StudyError]):
        lines = [str(error) for error in errors[: self.SHOWN]]
        if len(errors) > self.SHOWN:
            lines.append(f"... and {len(errors) - self.SHOWN} more problems of this kind.")
        Exception.__init__(self, "\n".join(lines))


def mend_missing(*paths: str) -> str:
    """What to do about files that do not exist.

    Parameters
    ----------
    paths
        As the user named them; one in a bucket, as s3:// and gs:// name it, is no path here.

    Returns
    -------
    str
        A sentence or two.
    """
    if any("://" in path for path in paths):
        return (
            "Download it, and name its path. Only a matrix or a reference may be a URL, and that "
            "of http, https or ftp."
        )
    return "Check the path; it is relative to the folder Snakemake works in."
