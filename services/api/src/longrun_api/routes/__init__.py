"""The routes of the API, a file a noun: parse, call one function, render."""
