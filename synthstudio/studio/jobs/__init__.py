"""Jobs: processes that make data sets and exports, recorded so that they outlive the server."""
