"""The studio for programs: `/api/v1`, with tokens instead of cookies."""
