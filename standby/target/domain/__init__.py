"""The dormant domain on the KVM host: read the machine, plan its standby, render, define."""
