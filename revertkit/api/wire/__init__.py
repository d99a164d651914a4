"""Manila's JSON, both directions, by microversion. Nothing outside of this package knows its keys."""
