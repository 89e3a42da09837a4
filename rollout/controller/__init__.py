"""The controller's process: a loop around `service.tick`, and `/metrics`."""
