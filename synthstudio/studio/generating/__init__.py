"""The parts of the page Generate: scenes, the recipe form, the list of jobs."""
