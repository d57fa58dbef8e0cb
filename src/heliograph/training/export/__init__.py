"""What a device needs of a model, written into a bundle: ONNX graphs, preprocessing, parity checks."""
