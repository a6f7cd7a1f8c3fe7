"""Versioned components: what they are called, which versions fit, and where they are found."""
