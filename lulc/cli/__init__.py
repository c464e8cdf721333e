"""The command line: each command translates options, calls one function and prints."""
