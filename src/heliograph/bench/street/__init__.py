"""Suite ``street``: the field model on real photos, from coded visual tokens and from tuned picture files."""
