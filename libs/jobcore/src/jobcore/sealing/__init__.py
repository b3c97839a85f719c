"""Secrets in the inputs of jobs: which parts of an input are secret, and how an input with secrets is encrypted.

What is shown of such an input has `MASK` in place of each secret; the input as it was sent is sealed, which means
encrypted with a key of the deployment, and only the worker that runs the job opens it (ADR 56).
"""
