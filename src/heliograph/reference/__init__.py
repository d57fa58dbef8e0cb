"""The reference task and model: scenes with exact answers, and a miniature VLM that can answer them."""
