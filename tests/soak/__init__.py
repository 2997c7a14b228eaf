"""Many runs in one process: nothing may be left, and nothing may grow."""
