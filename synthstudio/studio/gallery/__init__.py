"""The parts of the page Gallery: state, filter form, plots, actions."""
