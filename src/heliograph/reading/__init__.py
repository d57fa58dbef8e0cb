"""Files and JSON that somebody else made: the one way in which every room reads them."""
