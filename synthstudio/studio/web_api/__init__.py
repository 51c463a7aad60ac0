"""The API `/api/v1`: for programs, and for the editor, pictures and downloads of pages."""
