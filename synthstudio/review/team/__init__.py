"""Several people at one data set: roles, assignment, blind second looks, agreement, pace."""
