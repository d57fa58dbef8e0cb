"""Training of bottlenecks: what makes a tower's tokens for a device that has no tower."""
