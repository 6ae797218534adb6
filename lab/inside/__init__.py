"""Code that runs inside a host's namespaces, as its first process."""
