"""A grid of people: crops with captions that are links, reached by mouse, Tab and arrow keys."""
