"""The program: `standby`, and `python -m standby`."""

import signal


def main() -> None:
    """Run the command line. Before it is loaded a signal just ends it: nothing was begun."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from standby.cli.main import main as command_line  # noqa: PLC0415 - it takes 0.2 s

    command_line()


if __name__ == "__main__":
    main()
