"""The tests, and the bench they stand on."""
