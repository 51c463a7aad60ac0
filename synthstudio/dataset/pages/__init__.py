"""What people look at: labels drawn in, reports, differences, findings."""
