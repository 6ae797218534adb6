"""Thin edges to hosts: commands, small files, sockets, libvirt, QMP, templates."""
