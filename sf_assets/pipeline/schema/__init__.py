"""What the org's objects look like, and how that changes."""
