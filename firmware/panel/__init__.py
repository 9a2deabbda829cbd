"""The touch user interface: one static page that the unit serves itself."""
