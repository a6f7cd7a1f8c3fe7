"""Ways to run a typed program: `reference` defines, `single` decides one row fast, `columnar` many."""
