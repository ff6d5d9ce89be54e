"""The one exception that is meant for the user."""


class LitgenError(Exception):
    """Shown as two lines, exit 1: what was found instead of what, and what to type."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint
