"""Messages in: read, and stored or refused."""
