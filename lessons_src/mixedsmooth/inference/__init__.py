"""How sure one may be: what is computed from a fit (chapter 13)."""
