"""``heliograph demo``: its exchanges, its terminal output and its picture."""
