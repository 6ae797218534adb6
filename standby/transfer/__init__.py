"""The copy engine: extents in, blocks out."""

from standby.model.digest import BLOCK
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
    ZeroPolicy,
)
from standby.transfer.rate import RateLimit

__all__ = [
    "BLOCK",
    "AliveCheck",
    "CancelToken",
    "Changed",
    "CopyResult",
    "Differing",
    "DigestTable",
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
