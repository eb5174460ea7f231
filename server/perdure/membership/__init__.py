"""Who is alive, and who should own what. One process that runs every role owns everything."""
