"""What every layer may use: errors for users, files, progress, the programs' edge."""
