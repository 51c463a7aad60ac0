"""Risk of wrong labels, the review queue, and the estimated error rate of a set."""
