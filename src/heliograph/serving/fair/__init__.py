"""Whose turn it is with the model: parties, their shares, and what is left undone where a party asks for too much."""
