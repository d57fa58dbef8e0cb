"""The device's own answer: a language model in ONNX Runtime, without torch and without a link."""
