"""Sign-in by password: its two pages, the session's cookie, and checks of each message."""
