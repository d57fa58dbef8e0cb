"""Suite ``bytes``: what answers cost, beside other people's codecs and an older build."""
