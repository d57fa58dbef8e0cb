"""Visual-token compression: fewer visual tokens."""
