"""The model in the cloud: load it, tap it, answer, verify drafts. This room may import torch."""
