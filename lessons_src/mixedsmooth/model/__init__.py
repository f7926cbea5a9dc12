"""The one engine to which all derivations lead, for the reader's own data and at full speed."""
