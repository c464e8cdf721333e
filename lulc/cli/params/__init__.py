"""Options and arguments of commands: made from options models, and parsed."""
