"""The device: photo loading, preprocessing, ONNX encoder, local answers and the client. Imports no torch.

Importing this package imports nothing heavy; each module loads Pillow, ONNX Runtime or websockets when first used.
"""
