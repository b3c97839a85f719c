"""Longrun on a Kubernetes cluster, as its users and operators meet it: `make e2e`."""
