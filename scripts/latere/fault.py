"""What is wrong with a value, before it is known where the value comes from."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """An error without a place: `StudyError(where, *fault, code=fault.code)`.

    Attributes
    ----------
    problem, fix, code
        As of `latere.errors.StudyError`.
    """

    problem: str
    fix: str
    code: str

    def __iter__(self) -> Iterator[str]:
        """Problem and fix, as arguments."""
        return iter((self.problem, self.fix))
