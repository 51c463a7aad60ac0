"""Self-contained HTML pages: one style, bars made of CSS, pictures inside; no script."""
