"""What the page Generate is made of: scenes, the form of a recipe, the list of jobs."""
