"""Many devices at one cloud: what answering side by side gives, and whether it says the same."""
