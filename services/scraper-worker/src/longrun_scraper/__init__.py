"""The web scraping worker of Longrun."""
