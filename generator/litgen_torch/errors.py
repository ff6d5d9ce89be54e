"""The one exception that is meant for the user."""


class LitgenError(Exception):
    """Shown as two lines, exit 1: what was found where something else was expected, what to type."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint
