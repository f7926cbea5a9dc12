"""Tests of the built pages, as a reader's browser shows them."""
