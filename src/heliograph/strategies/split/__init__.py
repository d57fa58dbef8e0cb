"""Split computing with feature compression: all visual tokens, coded."""
