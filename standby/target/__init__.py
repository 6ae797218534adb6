"""The KVM host: the store, its chain of qcow2 files, the storage daemon, the dormant domain."""
