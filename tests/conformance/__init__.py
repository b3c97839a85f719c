"""What RFCs ask of a job API, over plain HTTP, against any server: docs/http.md lists each clause with its test."""
