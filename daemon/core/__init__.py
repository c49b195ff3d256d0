"""What every room stands on: settings, ids, errors, exit codes, clock, loops, signals, logging, atomic files."""
