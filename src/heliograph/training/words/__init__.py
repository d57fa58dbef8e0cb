"""Fitting of the text coder of the strategies that send words."""
