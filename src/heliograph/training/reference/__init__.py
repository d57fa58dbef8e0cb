"""How the reference model is trained."""
