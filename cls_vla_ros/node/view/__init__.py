"""For tools that plot plain messages: what a chunk says, one value per joint and step."""
