"""Tasks: one package for each command that works on whole scenes or maps."""
