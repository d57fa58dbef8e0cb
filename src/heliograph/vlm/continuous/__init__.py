"""Many answers side by side, with questions that join and leave between steps. Begin with ``engine``."""
