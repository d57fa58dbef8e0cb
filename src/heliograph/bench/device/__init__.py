"""What a device's encoder costs, and how large visual tokens are beside picture files."""
