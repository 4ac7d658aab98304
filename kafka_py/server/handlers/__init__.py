"""One module a family of APIs; importing a module registers its handlers with :mod:`kafka_py.server.dispatch`."""
