"""`longrun demo`: serve a small web site and scrape it with the running Longrun."""
