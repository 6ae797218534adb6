"""Ways to reach the KVM host's disks; each yields an NBD endpoint on this machine."""
