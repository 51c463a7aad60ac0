"""Jobs: processes that make data sets and exports, recorded to survive the server."""
