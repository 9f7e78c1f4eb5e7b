"""The frozen values that stages hand on: contracts, manifests, evaluations, latencies, inspections, reports."""
