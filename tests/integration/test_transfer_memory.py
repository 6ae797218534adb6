"""The copy engine's memory does not depend on the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.nbd_servers import GIB, KIB, MIB, nbdkit

# The process that is measured does nothing else, and prints its peak in KiB. The kernel's
# ru_maxrss would not do: a new program inherits it from the process that started it.
MEASURED = """
import sys
from pathlib import Path
from standby.model.extent import NbdEndpoint
from standby.transfer import DiskCopy, Everything, ZeroPolicy, copy_disks, pending
source, target = (NbdEndpoint(path, "") for path in sys.argv[1:])
found = pending("vda", source, Everything())
(result,) = copy_disks([DiskCopy("vda", source, target, Everything(), ZeroPolicy.WRITE)])
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(found.data_bytes, result.data_bytes, peak)
"""


def test_a_huge_disk_in_a_million_pieces_fits_into_little_memory(tmp_path: Path) -> None:
    """64 GiB: 2 GiB of it in 2 KiB pieces, then lone blocks, then nothing."""
    plugin = Path(__file__).with_name("nbdkit_pieces.py")
    with (
        nbdkit(tmp_path / "s.sock", "python", plugin) as reader,
        nbdkit(tmp_path / "t.sock", "null", "64G") as writer,
    ):
        measured = subprocess.run(
            [sys.executable, "-c", MEASURED, reader.endpoint.socket, writer.endpoint.socket],
            check=True,
            capture_output=True,
            text=True,
        )
    found, moved, peak = (int(word) for word in measured.stdout.split())
    assert found == moved == 3 * GIB
    assert peak * KIB <= 150 * MIB
    assert peak * KIB <= 100 * MIB  # room for what else the process does
