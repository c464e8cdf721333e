"""Error responses of the server, and the HTTP status of each of lulc's errors."""

import re
from dataclasses import dataclass
from typing import Any

from lulc.errors import (
    ConfigError,
    InputError,
    Interrupted,
    LimitError,
    LulcError,
    ModelError,
    StorageError,
    UsageError,
)

STATUS: dict[type[LulcError], int] = {
    UsageError: 400,
    InputError: 422,
    ModelError: 500,
    ConfigError: 500,
    StorageError: 500,
    LimitError: 413,
    Interrupted: 503,
}
"""HTTP status by type of error; any other error is 500."""

_LONGEST = 500
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


@dataclass
class Refusal(Exception):  # noqa: N818 - what the server answers, as its name says
    """An error response.

    Attributes:
        status: HTTP status.
        problem: What is wrong, in one line.
        remedy: What the user can do about it, in one line.
        retry_after: Seconds after which the same request may succeed; None when it will not.
    """

    status: int
    problem: str
    remedy: str = ""
    retry_after: int | None = None

    def __post_init__(self) -> None:
        self.problem, self.remedy = _one_line(self.problem), _one_line(self.remedy)

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem

    @classmethod
    def of(cls, error: LulcError, renamed: dict[str, str] | None = None) -> "Refusal":
        """Refusal for an error of lulc. Options of the command line are named as fields of the page.

        Args:
            error: The error.
            renamed: Text to show instead of paths on this machine, by path.
        """
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        return cls(status, _in_page_words(error.problem, renamed or {}), _in_page_words(error.remedy, renamed or {}))

    @property
    def body(self) -> dict[str, Any]:
        """JSON body of the response."""
        return {"error": {"problem": self.problem, "remedy": self.remedy}}

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers of the response."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def _one_line(text: str) -> str:
    """Text on one line of bounded length; text from a file may be of any length."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 2]} …"


def _in_page_words(text: str, renamed: dict[str, str]) -> str:
    for path, name in renamed.items():
        text = text.replace(path, name)
    return _OPTION.sub(lambda option: option[1].replace("-", "_"), text)
