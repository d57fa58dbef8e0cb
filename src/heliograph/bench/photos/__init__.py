"""Suite ``photos``: codecs on the features of real photos."""
