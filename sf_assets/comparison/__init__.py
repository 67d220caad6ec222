"""What two sides say of the same records, compared in files of its own."""
