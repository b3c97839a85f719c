"""What looks at PostgreSQL and sets right what nobody else will."""
