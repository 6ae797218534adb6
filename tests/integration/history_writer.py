"""Writes runs into a history until it is killed; says each that it was told is kept."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from history_runs import begun, ended

from standby.history import History


def main() -> None:
    path, first = Path(sys.argv[1]), int(sys.argv[2])
    history = History.open(path)
    for number in count(first):
        history.begin(begun(number))
        history.end(ended(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


main()
