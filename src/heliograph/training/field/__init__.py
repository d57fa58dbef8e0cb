"""The field model: a vision-language model of real pretrained parts, with a small alignment that is trained here."""
