"""The command line: options become settings, one stage is called, its result is printed."""
