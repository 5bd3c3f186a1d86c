"""Forward physics: particles, their far fields, the detector and whole runs with known truth."""
