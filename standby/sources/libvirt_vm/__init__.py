"""A libvirt VM as source: pull-mode backups while it runs, its images while it is off."""
