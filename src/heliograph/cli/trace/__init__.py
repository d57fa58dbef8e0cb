"""``heliograph trace``: what happened in an exchange, as text and as a picture."""
