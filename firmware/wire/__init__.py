"""Wire formats of the runtime and of the bench: pure bytes to frozen dataclass and back."""
