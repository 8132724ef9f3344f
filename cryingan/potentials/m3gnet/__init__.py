"""M3GNet through matgl."""
