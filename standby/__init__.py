"""Dormant, bootable standby replicas of machines on KVM hosts."""
