"""A checkpoint, from its name to a loaded model: looked at before anything is trusted."""
