"""History features: one definition (`spec`), decided live against a store (`single`, `store`) and over frames (`columnar`)."""
