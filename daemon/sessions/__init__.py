"""What a session is: states and transitions, the record, events, commands. No I/O."""
