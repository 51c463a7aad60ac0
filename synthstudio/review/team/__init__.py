"""Several people at one data set: roles, assignment, blind second reviews, agreement, pace."""
