"""What all commands share: arguments, progress bars, the machine, where the data lies."""
