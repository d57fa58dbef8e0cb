"""Who may come in, how many at a time, and how wrong access tokens are answered."""
