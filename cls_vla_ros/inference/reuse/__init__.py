"""When a cached prefix is used again: the cache, its limits, the frame guard, the reasons."""
