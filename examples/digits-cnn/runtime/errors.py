"""The one way in which a run ends because of something its user can put right."""


class UserError(SystemExit):
    """End the program with two lines and exit code 1: what was found, and what to type."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(f"{found}\n  fix: {fix}")
        self.found = found
        self.fix = fix
