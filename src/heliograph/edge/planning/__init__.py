"""What a device knows of its link and of itself, and questions asked by plan."""
