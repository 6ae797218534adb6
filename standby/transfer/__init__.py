"""The copy engine: extents in, blocks out."""

from standby.transfer.engine import copy_disks, pending
from standby.transfer.job import (
    BLOCK,
    AliveCheck,
    CancelToken,
    Changed,
    CopyResult,
    DiskCopy,
    Everything,
    Pending,
    Progress,
    Scope,
    ZeroPolicy,
)
from standby.transfer.rate import RateLimit

__all__ = [
    "BLOCK",
    "AliveCheck",
    "CancelToken",
    "Changed",
    "CopyResult",
    "DiskCopy",
    "Everything",
    "Pending",
    "Progress",
    "RateLimit",
    "Scope",
    "ZeroPolicy",
    "copy_disks",
    "pending",
]
