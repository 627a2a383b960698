"""Local stand-ins over real sockets: MongoDB, the model, mail. For demo, tests and trying things out."""
