"""Visual tokens to bytes and back: the closed-form codec, the ``.hgs`` file and the bundle. NumPy only."""
