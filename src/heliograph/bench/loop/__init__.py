"""Suite ``loop``: when to stop, how sure an answer is, and how much of a draft survives."""
