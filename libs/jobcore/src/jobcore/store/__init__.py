"""All SQL of Longrun, a file a noun. Each function is one statement string and one transaction."""
