"""A file of figures for Prometheus' node exporter: whole at every moment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from standby.errors import FixRequest

_READABLE = 0o644  # the node exporter is another user


def write_textfile(path: Path, text: str) -> None:
    """Replace the file by a new one. Raises FixRequest when that cannot be done."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", suffix=".new", delete=False
        ) as made:
            try:
                made.write(text)
                made.flush()
                os.fchmod(made.fileno(), _READABLE)
                Path(made.name).replace(path)
            except OSError:
                Path(made.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise FixRequest(
            f"file {path}",
            f"cannot be written: {error.strerror}",
            "a file in a directory that we may write",
        ) from error
