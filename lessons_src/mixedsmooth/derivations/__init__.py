"""The derivations of the book, one module a chapter: dense matrices, read top to bottom."""
