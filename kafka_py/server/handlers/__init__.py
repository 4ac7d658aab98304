"""One module a family of APIs; importing it registers its handlers with `dispatch`."""
