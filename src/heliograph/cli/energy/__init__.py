"""``heliograph energy``: joules of a device for one answered question, by term, with their band and their sources."""
