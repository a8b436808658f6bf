"""What every room may use: files, settings, durations, threads, progress, typed JSON."""
