"""Reports: what a task found, for people as Markdown and for programs as JSON."""
