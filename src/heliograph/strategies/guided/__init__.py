"""VLM-guided image compression: pictures that any model can take, with detail where it matters."""
