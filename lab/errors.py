"""What can go wrong with the lab itself."""


class LabError(Exception):
    """The lab cannot do what was asked; the text says what to do about it."""


class CommandFailed(LabError):
    """A command ended with a non-zero status."""

    def __init__(self, argv: tuple[str, ...], status: int, output: str) -> None:
        self.argv = argv
        self.status = status
        self.output = output
        super().__init__(f"{' '.join(argv)}: status {status}: {output.strip()}")


class NotUp(LabError):
    """The lab, or one host of it, does not run."""


class TimedOut(LabError):
    """A condition did not come true within its limit."""

    def __init__(self, what: str, seconds: float) -> None:
        self.what = what
        self.seconds = seconds
        super().__init__(f"{what}: not within {seconds:g} s")
