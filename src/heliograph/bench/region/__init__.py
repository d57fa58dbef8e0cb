"""Suite ``region``: when and where a second look at the original photo pays."""
