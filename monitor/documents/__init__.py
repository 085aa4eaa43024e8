"""Markups: one file and one function for each language in which people read a document, and one that makes documents fit."""
