"""One outside world each; they never import each other."""
