"""Why a command cannot be carried out: a sentence for the person, a stable word for the program."""

from __future__ import annotations

from streams.errors import Refused

STATUS = {
    "arguments": 400,
    "unknown_subject": 404,
    "exists": 409,
    "too_little_walking": 422,
    "two_people": 422,
    "mixed_spaces": 422,
    "other_space": 422,
    "already_enrolled": 409,
    "no_consent": 422,
    "failed": 500,
}
"""HTTP status of each word; any other is 409."""


class Refusal(Refused):
    """A refused command.  `why` is one of the words of STATUS."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why
