"""Names of what lies in a data set beside its shards; the writer and the reader share them."""

INDEX_NAME = "index.json"
MIXED_NAME = "mixed.json"
LOG_NAME = "run.log"
SET_ASIDE_DIR = "set-aside"
