"""The lab as virtual machines, under Vagrant."""
