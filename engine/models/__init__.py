"""Models: packages with a signature, golden rows and an environment; one small adapter per library, imported when used."""
