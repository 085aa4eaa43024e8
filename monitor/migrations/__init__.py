"""Schema changes, one file each, run by ``drift-monitor db upgrade``."""
