"""What the manager did, kept on its own disk: runs, their logs, and what is not known of them.

The KVM host is the truth; nothing here is needed to protect a machine. Delete it all, and only
the memory is gone.
"""

from standby.history.history import History

__all__ = ["History"]
