"""Many tasks over the fleet: what they are, who does which next, and a journal that survives everything."""
