"""What every family on a tile unit (AMX) shares: its loop nest, its steps, the way out of its tiles."""
