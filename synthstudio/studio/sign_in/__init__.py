"""Sign-in by a password: its two pages, the session's cookie, and what a session lets through."""
