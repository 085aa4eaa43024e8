"""The demo: sixteen weeks at the support desk of a furniture shop, played through the public code path."""
