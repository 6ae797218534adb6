"""What `standby check` looks at: probes return facts, judgements turn facts into findings."""
