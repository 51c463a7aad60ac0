"""The parts of the page Gallery: what it looks at, its filter form, its plots, its actions."""
