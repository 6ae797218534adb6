"""The copy engine: extents in, blocks out."""

from standby.model.digest import BLOCK
from standby.transfer.build import build_table
from standby.transfer.engine import copy_disks, pending
from standby.transfer.job import (
    AliveCheck,
    CancelToken,
    Changed,
    CopyResult,
    Differing,
    DigestTable,
    DiskCopy,
    Everything,
    Pending,
    Progress,
    Scope,
    Unfinished,
    ZeroPolicy,
)
from standby.transfer.mend import Mended, mend_blocks
from standby.transfer.rate import RateLimit
from standby.transfer.scan import DigestedDisk, Pace
from standby.transfer.verify import OnlyRanges, OwnLayer, Unchanged, Verified, verify_disk

__all__ = [
    "BLOCK",
    "AliveCheck",
    "CancelToken",
    "Changed",
    "CopyResult",
    "Differing",
    "DigestTable",
    "DigestedDisk",
    "DiskCopy",
    "Everything",
    "Mended",
    "OnlyRanges",
    "OwnLayer",
    "Pace",
    "Pending",
    "Progress",
    "RateLimit",
    "Scope",
    "Unchanged",
    "Unfinished",
    "Verified",
    "ZeroPolicy",
    "build_table",
    "copy_disks",
    "mend_blocks",
    "pending",
    "verify_disk",
]
