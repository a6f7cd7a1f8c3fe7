"""The command line: one command a file. It reads arguments and prints; whatever it shows is made elsewhere."""
