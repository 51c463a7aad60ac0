"""Team review: roles, assignment, blind second reviews, agreement, throughput."""
