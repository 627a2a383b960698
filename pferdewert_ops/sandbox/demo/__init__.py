"""The demonstration: a difficult day of the shop, played through by real workers against the sandbox."""
