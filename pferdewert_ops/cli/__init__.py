"""The commands: parse, build, one operation, render, exit."""
