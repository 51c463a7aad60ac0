"""The API `/api/v1`: for programs, and for the pages' editor, pictures and downloads."""
