"""How a ``klt`` codec is fitted. Needed where codecs are made; a device and a cloud run without it."""
