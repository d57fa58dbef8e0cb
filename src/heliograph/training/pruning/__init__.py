"""Training of strategies that leave out tokens within the tower."""
