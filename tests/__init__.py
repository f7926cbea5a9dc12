"""Tests of the library, the ledger and the book."""
