"""The report and view commands: a page about a run, and pictures of single images."""
