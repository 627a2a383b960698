"""MongoDB: documents.py alone knows field names; leased.py is the one queue mechanism."""
