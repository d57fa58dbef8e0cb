"""How sure an answer from a prefix is: collected on photos with questions, fitted, and reported."""
