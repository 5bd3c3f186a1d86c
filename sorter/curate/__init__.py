"""What a person decides: labels, subsets, and what is handed on."""
