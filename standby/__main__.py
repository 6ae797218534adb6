"""The program: `standby`, and `python -m standby`."""

import signal


def main() -> None:
    """Run the command line. Until it is loaded Ctrl-C just ends it: nothing was begun."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from standby.cli.main import main as command_line  # noqa: PLC0415 - it takes 0.2 s

    signal.signal(signal.SIGINT, before)
    command_line()


if __name__ == "__main__":
    main()
