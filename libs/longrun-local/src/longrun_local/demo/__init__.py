"""`longrun demo`: a small site of its own, scraped by the running Longrun."""
